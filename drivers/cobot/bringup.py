"""From nodes that are powered to nodes that are operational, watch us, and would stop without us.

Everything is written by SDO and read back. Nothing is enabled here: the drives get no power from it.
"""

from __future__ import annotations

from dataclasses import dataclass

from drivers.cobot import codes
from drivers.cobot.cia402 import CW_DISABLE_VOLTAGE, Mode, torque_modes
from drivers.cobot.config import CobotConfig, mock_eds
from drivers.cobot.line import SUPERVISOR_NODE, Line
from drivers.cobot.model import CobotJoint, Scales
from drivers.cobot.objects import Dictionary, load_eds
from drivers.cobot.pdo import COMMAND, LAYOUTS, PdoLayout
from drivers.cobot.plan import EMCY_INHIBIT_MS, deadline_ms
from drivers.cobot.supervision import Supervision
from drivers.errors import ConnectError

INVALID = 1 << 31
NO_RTR = 1 << 30
SERVO_PROFILE = 402
_LISTEN_NS = 30_000_000
_MODE_NS = 500_000_000
_NMT_START, _NMT_PRE_OPERATIONAL = 0x01, 0x80


@dataclass(frozen=True)
class NodeInfo:
    """What a drive told about itself."""

    node: int
    vendor: int
    product: int
    revision: int
    serial: int
    mode: Mode
    watches_sync: bool
    """It was told the period of SYNC (0x1006) and may miss it."""
    dictionary: Dictionary


def bring_up(line: Line, config: CobotConfig, watch: Supervision) -> list[NodeInfo]:
    """Set up every node of ``config`` and start it; the caller sends SYNC from now on. Raises ConnectError.

    Order: listen, identity, settings, process data, our heartbeat and the proof that it is watched, NMT start.
    """
    line.pause(_LISTEN_NS)
    if watch.foreign:
        raise ConnectError(
            f"{watch.foreign} frames came that only the master sends (SYNC, NMT, commands): another program or "
            "controller drives this bus; end it first"
        )
    path = config.eds or mock_eds()
    dictionaries = [Dictionary(line.network, node, load_eds(path, node)) for node in config.nodes]
    limits = Scales(config.joints).permille_max
    found = []
    for joint, dictionary, limit in zip(config.joints, dictionaries, limits, strict=True):
        # Out of operation first: whatever an earlier program left behind ends here, and mappings may be changed.
        line.network.send_message(0, bytes([_NMT_PRE_OPERATIONAL, joint.node]))
        info = identify(dictionary, config)
        settle(info, joint, config, limit)
        for layout in LAYOUTS:
            map_pdo(dictionary, layout, config)
        silence_others(dictionary)
        found.append(info)
    line.beating = True
    for info in found:
        watch_us(info.dictionary, config)
    see_heartbeat_watched(line, config, watch)
    for info in found:
        choose_mode(line, info)
    watch.heartbeat_ns = int(3e6 * config.node_heartbeat_ms)
    for node in config.nodes:
        line.network.send_message(0, bytes([_NMT_START, node]))
    return found


def identify(node: Dictionary, config: CobotConfig) -> NodeInfo:
    """Compare the drive with its EDS and with what this driver needs. Raises ConnectError."""
    device_type = node.read(0x1000)
    if device_type & 0xFFFF != SERVO_PROFILE:
        raise ConnectError(
            f"node {node.node} has device type 0x{device_type:08X}, expected a CiA 402 drive (0x....0192): it is "
            "another device, see hil can scan"
        )
    identity = {sub: node.read(0x1018, sub) if node.has(0x1018, sub) else 0 for sub in (1, 2, 3, 4)}
    info = load_eds(config.eds or mock_eds(), node.node).device_information
    for sub, expected, what in ((1, info.vendor_number, "vendor"), (2, info.product_number, "product")):
        if expected is not None and identity[sub] != expected:
            raise ConnectError(
                f"node {node.node} has {what} 0x{identity[sub]:08X}, the EDS is for 0x{expected:08X} "
                f"({info.vendor_name} {info.product_name}): name the EDS of this drive in the cell file"
            )
    supported = node.read(0x6502)
    modes = torque_modes(supported)
    wanted = (config.mode,) if config.mode is not None else modes[:1]
    if not wanted or wanted[0] not in modes:
        names = ", ".join(f"{mode} ({mode.name.lower()})" for mode in modes) or "no torque mode"
        raise ConnectError(
            f"node {node.node}: 0x6502 is 0x{supported:08X}, that is {names}; expected "
            + (f"mode {config.mode}" if config.mode is not None else "mode 10 or 4: this drive takes no torque")
        )
    return NodeInfo(
        node.node,
        identity[1],
        identity[2],
        identity[3],
        identity[4],
        wanted[0],
        node.has(0x1006),
        node,
    )


def settle(info: NodeInfo, joint: CobotJoint, config: CobotConfig, limit: int) -> None:
    """Power off, figures of motor and encoder compared, options and limits set. Raises ConnectError."""
    node = info.dictionary
    node.write(0x6040, 0, CW_DISABLE_VOLTAGE)
    node.write(0x6071, 0, 0)
    rated = node.read(0x6076)
    if rated != joint.rated_torque_mNm:
        raise ConnectError(
            f"node {joint.node}: rated torque (0x6076) is {rated} mN·m, the cell says {joint.rated_torque_mNm}: every "
            "torque would be wrong by that factor; correct the one that is wrong"
        )
    if node.has(0x608F, 1):
        increments, turns = node.read(0x608F, 1), node.read(0x608F, 2) if node.has(0x608F, 2) else 1
        if increments != joint.counts_per_rev * max(1, turns):
            raise ConnectError(
                f"node {joint.node}: encoder resolution (0x608F) is {increments}/{turns} increments a turn, the cell "
                f"says {joint.counts_per_rev}: every angle would be wrong; correct the one that is wrong"
            )
    node.put(0x6007, 0, config.abort_option)
    node.put(0x605A, 0, config.quick_stop_option)
    node.put(0x6072, 0, limit)
    for index in (0x60E0, 0x60E1):
        if node.has(index):
            node.put(index, 0, limit)
    if node.has(0x60C2, 1):
        units, exponent = _period_units(config.period)
        node.put(0x60C2, 1, units)
        node.put(0x60C2, 2, exponent)
    if node.has(0x1006):
        node.put(0x1006, 0, round(1e6 * config.period))
    if node.has(0x1015):
        node.put(0x1015, 0, 10 * EMCY_INHIBIT_MS)
    node.put(0x1017, 0, config.node_heartbeat_ms)


def map_pdo(node: Dictionary, layout: PdoLayout, config: CobotConfig) -> None:
    """Give one PDO its content, transmission type and, for commands, the deadline. Raises ConnectError."""
    record, mapping = layout.communication, layout.mapping
    cob_id = layout.base + node.node
    flags = 0 if layout is COMMAND else NO_RTR
    node.write(record, 1, INVALID | flags | cob_id)
    node.write(mapping, 0, 0)
    for sub, obj in enumerate(layout.objects, 1):
        node.put(mapping, sub, obj.entry)
    node.put(mapping, 0, len(layout.objects))
    node.put(record, 2, layout.every)
    if layout is COMMAND:
        if not node.has(record, 5):
            raise ConnectError(
                f"node {node.node}: the EDS knows no event timer of the RPDO (0x1400:05), so this drive would go on "
                "with the last torque when this program dies; a drive without such a deadline is not driven"
            )
        node.put(record, 5, deadline_ms(config.period))
    elif node.has(record, 3):
        node.put(record, 3, 0)
    node.write(record, 1, flags | cob_id)
    kept = node.read(record, 1)
    if kept & INVALID or kept & 0x7FF != cob_id:
        raise ConnectError(
            f"node {node.node}: {layout.name} reads back as 0x{kept:08X}, expected COB-ID 0x{cob_id:03X}"
        )


def silence_others(node: Dictionary) -> None:
    """Make every other PDO of the drive invalid: they would cost bandwidth or take frames of somebody else."""
    used = {layout.communication for layout in LAYOUTS}
    for record in [*range(0x1400, 0x1408), *range(0x1800, 0x1808)]:
        if record not in used and node.has(record, 1):
            value = node.read(record, 1)
            if not value & INVALID:
                node.write(record, 1, value | INVALID)


def watch_us(node: Dictionary, config: CobotConfig) -> None:
    """The drive's heartbeat consumer. Raises ConnectError where it has none."""
    if not node.has(0x1016, 1):
        raise ConnectError(
            f"node {node.node}: the EDS knows no heartbeat consumer (0x1016), so this drive cannot notice that this "
            "program died; it is not driven"
        )
    node.put(0x1016, 1, SUPERVISOR_NODE << 16 | config.heartbeat_consumer_ms)


def see_heartbeat_watched(line: Line, config: CobotConfig, watch: Supervision) -> None:
    """One heartbeat at least leaves; then, unless the cell waives it, it is withheld until every drive has reported
    that it is missing, and goes on. Raises ConnectError."""
    begin = line.beats
    if not line.pump(lambda: line.beats >= begin + 2, 10 * config.our_heartbeat_ms * 1_000_000):
        raise ConnectError("our heartbeat did not leave: the adapter takes no frames; check cable and termination")
    if not config.prove_heartbeat:
        return
    watch.acknowledge()
    lost = 0x8130
    line.beating = False
    line.pump(lambda: all(code == lost for code in watch.emcy), 4 * config.heartbeat_consumer_ms * 1_000_000)
    line.beating = True
    silent = [node for node, code in zip(config.nodes, watch.emcy, strict=True) if code != lost]
    if silent:
        raise ConnectError(
            f"nodes {silent} did not report (EMCY 0x8130) that our heartbeat was missing for "
            f"{4 * config.heartbeat_consumer_ms} ms: they would not notice that this program died; check 0x1016, 0x1029"
        )
    begin = line.beats
    line.pump(lambda: line.beats >= begin + 2, 10 * config.our_heartbeat_ms * 1_000_000)
    watch.acknowledge()


def choose_mode(line: Line, info: NodeInfo) -> None:
    """Write 0x6060 and wait until 0x6061 shows it. Raises ConnectError."""
    node = info.dictionary
    node.write(0x6060, 0, int(info.mode))
    shown = 0

    def there() -> bool:
        nonlocal shown
        shown = node.read(0x6061)
        return shown == info.mode

    for _ in range(10):
        if there():
            return
        line.pause(_MODE_NS // 10)
    raise ConnectError(
        f"node {info.node}: asked for mode {int(info.mode)} (0x6060), it shows {shown} (0x6061) after 0.5 s; "
        f"0x6502 names the modes that it has"
    )


def _period_units(period: float) -> tuple[int, int]:
    """0x60C2: value (u8) and exponent, value · 10^exponent s. Raises ConnectError where it does not fit."""
    for exponent in (-3, -4, -5):
        value = round(period / 10.0**exponent)
        if 1 <= value <= 255 and abs(value * 10.0**exponent - period) < 1e-9:
            return value, exponent
    raise ConnectError(f"a period of {period} s has no form in 0x60C2; choose whole tenths of a millisecond")


def nmt_text(watch: Supervision) -> str:
    """NMT states of all nodes, for messages."""
    return ", ".join("unknown" if state < 0 else codes.nmt_text(state) for state in watch.nmt)
