"""Physics profiles: draws repeat and are independent of each other, what is missing is off, mistakes are named."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sim_mocks import profiles
from sim_mocks.errors import ProfileError
from sim_mocks.profiles import Profile, load_profile


def of(content: dict[str, object], seed: int = 0) -> Profile:
    return Profile("iiwa", "made_up", seed, 3, content)


def test_the_frozen_figures_are_read() -> None:
    profile = load_profile("iiwa", "standard", seed=0)
    friction = profile.section("friction")
    assert friction.vector("coulomb").tolist() == [1.5, 2.0, 1.0, 1.0, 0.35, 0.30, 0.10]
    assert friction.vector("stribeck_extra").tolist() == [0.3] * 7
    assert friction.text("law", "") == "lugre"
    assert profile.section("controller_model").words("compensates") == ("gravity",)
    assert profile.section("plant_inertials").number("tool_mass_factor", 1.0) == 1.10
    assert load_profile("contact", "plate", 0).number("stiffness") == 30000.0


def test_draws_repeat_differ_between_seeds_and_lie_in_their_range() -> None:
    def draw(seed: int) -> np.ndarray:
        return load_profile("iiwa", "standard", seed).section("plant_inertials").vector("mass_factor")

    assert draw(3).tolist() == draw(3).tolist()
    assert draw(3).tolist() != draw(4).tolist()
    drawn = np.concatenate([draw(seed) for seed in range(50)])
    assert ((drawn >= 0.90) & (drawn <= 1.10)).all()
    assert drawn.std() == pytest.approx(0.2 / np.sqrt(12), rel=0.1)


def test_a_draw_does_not_depend_on_other_keys_or_on_the_order_of_access() -> None:
    alone = of({"b": "uniform(0, 1)"}).vector("b")
    beside = of({"a": "uniform(0, 1)", "b": "uniform(0, 1)"})
    first = beside.vector("a")
    assert beside.vector("b").tolist() == alone.tolist() != first.tolist()
    assert beside.vector("a").tolist() == first.tolist()


def test_the_same_key_in_another_section_or_device_is_another_draw() -> None:
    content = {"x": {"bias": "uniform(0, 1)"}, "y": {"bias": "uniform(0, 1)"}}
    x, y = (of(content).section(key).number("bias") for key in "xy")
    other = Profile("cobot", "made_up", 0, 3, content).section("x").number("bias")
    assert len({x, y, other}) == 3


def test_hard_extends_standard_deeply() -> None:
    hard = load_profile("iiwa", "hard", 0)
    sensors = hard.section("sensors")
    assert sensors.number("delay_ticks") == 2
    assert sensors.number("q_quantum") == 1.0e-5, "inherited beside an overridden key"
    assert hard.section("friction").number("position_ripple") == 0.08
    assert hard.section("friction").vector("viscous")[0] == 1.0


@pytest.mark.parametrize("device", ["iiwa", "cobot", "ft_sensor"])
def test_ideal_has_no_error_of_any_kind(device: str) -> None:
    ideal = load_profile(device, "ideal", 0, 6)
    for section in ("plant_inertials", "friction", "sensors", "bias", "brakes"):
        assert len(ideal.section(section)) == 0
    assert ideal.number("force_noise") == 0.0
    assert ideal.number("filter_group_delay") == 0.0


def test_ideal_keeps_geometry_and_nameplate() -> None:
    cobot = load_profile("cobot", "ideal", 0, 6)
    assert cobot.vector("armature").tolist() == [0.80, 0.80, 0.40, 0.12, 0.12, 0.10]
    assert cobot.section("gear").number("ratio") == 101
    assert "torque_ripple" not in cobot.section("gear")
    assert cobot.section("drive").vector("rated_torque_motor")[3] == 0.35
    assert load_profile("ft_sensor", "ideal", 0).section("tool").number("mass") == 1.2


def test_devices_without_a_hard_profile_use_their_standard_one() -> None:
    assert load_profile("ft_sensor", "hard", 0).number("force_noise") == 0.05
    assert load_profile("contact", "hard", 0).number("friction") == 0.3


def test_missing_means_default_and_shapes_are_filled() -> None:
    profile = of({"one": 2.0, "list": [1, 2, 3], "draw": "uniform(1, 1)"})
    assert profile.vector("absent").tolist() == [0.0] * 3
    assert profile.vector("absent", 1.0).tolist() == [1.0] * 3
    assert profile.vector("one").tolist() == [2.0] * 3
    assert profile.vector("list").tolist() == [1.0, 2.0, 3.0]
    assert profile.array("draw", (3, 3)).shape == (3, 3)
    assert profile.text("absent", "lugre") == "lugre"


def test_returned_arrays_are_the_callers_own() -> None:
    profile = load_profile("iiwa", "standard", 0)
    profile.section("friction").vector("coulomb")[:] = 0.0
    assert profile.section("friction").vector("coulomb")[0] == 1.5
    with pytest.raises(TypeError):
        profile["friction"]["coulomb"] = 0.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        profile.seed = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "value",
    [[1.0, 2.0], "uniform(1)", "uniform(2, 1)", "uniform(a, b)", "normal(0, 1)", [1.0, float("nan"), 0.0], True, {}],
)
def test_a_wrong_value_is_named_with_its_path(value: object) -> None:
    section = of({"sensors": {"q_noise": value}}).section("sensors")
    with pytest.raises(ProfileError, match=r"iiwa\.made_up: read sensors\.q_noise = .*; expected"):
        section.vector("q_noise")


def test_unknown_names_list_what_there_is() -> None:
    with pytest.raises(ProfileError, match="known are cobot, contact, ft_sensor, iiwa"):
        load_profile("robot", "standard", 0)
    with pytest.raises(ProfileError, match=r"'stanard'; known are hard, ideal, standard"):
        load_profile("iiwa", "stanard", 0)
    with pytest.raises(ProfileError, match="seed"):
        load_profile("iiwa", "standard", -1)


def test_profiles_extending_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    circle = {"iiwa": {"a": {"extends": "b"}, "b": {"extends": "a"}}}
    monkeypatch.setattr(profiles, "_read", lambda: circle)
    with pytest.raises(ProfileError, match="circle: a -> b -> a"):
        load_profile("iiwa", "a", 0)
