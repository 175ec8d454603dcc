"""Robot descriptions for tests: a planar two-link arm with a textbook solution, and a seven-axis arm."""

from __future__ import annotations

PLANAR = """<robot name="planar">
  <link name="base"/>
  <link name="l1"><inertial><origin xyz="0.25 0 0"/><mass value="2.0"/>
    <inertia ixx="0.01" iyy="0.02" izz="0.03" ixy="0" ixz="0" iyz="0"/></inertial></link>
  <link name="l2"><inertial><origin xyz="0.2 0 0"/><mass value="1.0"/>
    <inertia ixx="0.005" iyy="0.008" izz="0.01" ixy="0" ixz="0" iyz="0"/></inertial></link>
  <link name="flange"/>
  <joint name="A1" type="revolute"><parent link="base"/><child link="l1"/><origin rpy="1.5707963267948966 0 0"/>
    <axis xyz="0 0 1"/><limit lower="-3" upper="3" velocity="2" effort="100"/></joint>
  <joint name="A2" type="revolute"><parent link="l1"/><child link="l2"/><origin xyz="0.5 0 0"/>
    <axis xyz="0 0 1"/><limit lower="-2.5" upper="2.5" velocity="3" effort="50"/></joint>
  <joint name="F" type="fixed"><parent link="l2"/><child link="flange"/><origin xyz="0.4 0 0"/></joint>
</robot>"""
"""Two links in the base's x-z plane (lengths 0.5 and 0.4 m, 2 and 1 kg); +q lifts the links from +x to +z."""

_LINKS = (
    # height of the joint above the one before (m), axis, mass (kg), com along the link (m), principal inertia (kg m²)
    (0.1575, "0 0 1", 4.0, 0.10, 0.030),
    (0.2025, "0 1 0", 4.0, 0.06, 0.030),
    (0.2045, "0 0 1", 3.0, 0.13, 0.020),
    (0.2155, "0 -1 0", 2.7, 0.07, 0.020),
    (0.1845, "0 0 1", 1.7, 0.08, 0.010),
    (0.2155, "0 1 0", 1.8, 0.01, 0.005),
    (0.0810, "0 0 1", 0.3, 0.02, 0.001),
)


def seven_axis() -> str:
    """A seven-axis arm of about the size of a collaborative 14 kg robot, of round numbers and a light last joint."""
    parts = ['<robot name="seven"><link name="link_0"/>']
    for i, (height, axis, mass, com, inertia) in enumerate(_LINKS, start=1):
        parts.append(
            f'<link name="link_{i}"><inertial><origin xyz="0 0.01 {com}"/><mass value="{mass}"/>'
            f'<inertia ixx="{inertia}" iyy="{inertia}" izz="{0.8 * inertia}" '
            f'ixy="0" ixz="0" iyz="0"/></inertial></link>'
            f'<joint name="A{i}" type="revolute"><parent link="link_{i - 1}"/><child link="link_{i}"/>'
            f'<origin xyz="0 0 {height}"/><axis xyz="{axis}"/>'
            f'<limit lower="-2.9" upper="2.9" velocity="1.7" effort="200"/></joint>'
        )
    parts.append(
        '<link name="flange"/><joint name="F" type="fixed"><parent link="link_7"/><child link="flange"/>'
        '<origin xyz="0 0 0.045"/></joint></robot>'
    )
    return "".join(parts)
