"""The figures as text for a terminal."""

from __future__ import annotations

from hil.bench.figures import P50_AIM, P999_AIM, RECORDER_AIM, Figures, Mode

WIDTH = 46
"""Longest bar, characters."""
_EIGHTHS = " ▏▎▍▌▋▊▉"


def bar(count: int, most: int) -> str:
    """A bar of ``count`` where ``most`` fills the width; whatever is not zero shows."""
    eighths = max(round(8 * WIDTH * count / most), 1 if count else 0)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def render(figures: Figures) -> str:
    """The whole report."""
    lines = [
        f"{figures.cell}: polishing on the mock cell, in two processes: {figures.cycles} cycles in lockstep"
        + (f", {figures.wall.answer.n} by the wall clock" if figures.wall is not None else ""),
        f"{figures.machine['processor']}, {figures.machine['cores']} cores, load {figures.machine['load']:.1f}, "
        f"Python {figures.machine['python']}",
        "",
        *_modes(figures),
        *_histogram("read to write, lockstep, alone", figures.alone),
        *_histogram("read to write, lockstep, with the recorder", figures.recorded),
    ]
    if figures.wall is not None:
        lines += _histogram("read to write, wall clock, with the recorder", figures.wall)
    lines += [*_stages(figures), *_rest(figures), f"verdict: {figures.verdict}"]
    if figures.advice:
        lines.append(figures.advice)
    if figures.wall_verdict:
        lines.append(f"verdict, wall clock: {figures.wall_verdict}")
    if figures.wall_note:
        lines.append(f"The run by the wall clock ended before its time: {figures.wall_note}")
    if figures.wall_verdict not in ("", "good"):
        lines.append("docs/realtime.md says what to set on the computer, and what each setting is good for.")
    return "\n".join(lines)


def _modes(figures: Figures) -> list[str]:
    lines = [f"{'µs':26}{'p50':>8}{'p99':>8}{'p99.9':>8}{'max':>9}{'mean':>8}"]
    modes = {"lockstep, alone": figures.alone, "lockstep, with the recorder": figures.recorded}
    if figures.wall is not None:
        modes["wall clock, with the recorder"] = figures.wall
    for name, m in modes.items():
        lines.append(name)
        for what, q in (("packet to wake-up", m.wake), ("read to write", m.answer), ("whole cycle", m.cycle)):
            if q is not None:
                five = f"{q.p50 * 1e6:8.0f}{q.p99 * 1e6:8.0f}{q.p999 * 1e6:8.0f}{q.max * 1e6:9.0f}{q.mean * 1e6:8.0f}"
                lines.append(f"{f'  {what}':26}{five}")
        lines.append(
            f"  {m.missed} cycles over 1 ms ({m.longest_run} in a row); {m.skipped} ticks skipped "
            f"({m.skipped_in_a_row} in a row); {m.cycles_per_second:.0f} cycles/s"
        )
        if m.granted:
            lines.append(f"  {m.granted}")
    lines.append(f"{'aim in lockstep':26}{P50_AIM * 1e6:8.0f}{'':8}{P999_AIM * 1e6:8.0f}")
    return [*lines, ""]


def _histogram(title: str, mode: Mode) -> list[str]:
    most = max(count for _, _, count in mode.histogram)
    lines = [title]
    for low, high, count in mode.histogram:
        lines.append(f"{low * 1e6:8.0f} … {high * 1e6:6.0f} µs {count:8}  {bar(count, most)}".rstrip())
    return [*lines, ""]


def _stages(figures: Figures) -> list[str]:
    lines = [f"{'stage, µs':24}{'p10':>8}{'p50':>8}{'mean':>8}{'share':>8}"]
    for name, stage in figures.stages.items():
        lines.append(
            f"{name:24}{stage.p10 * 1e6:8.1f}{stage.p50 * 1e6:8.1f}{stage.mean * 1e6:8.1f}{stage.share * 100:7.0f} %"
        )
    return [*lines, ""]


def _rest(figures: Figures) -> list[str]:
    lines = ["CPU time a cycle, µs"]
    modes = {"lockstep, alone": figures.alone, "lockstep, with the recorder": figures.recorded}
    if figures.wall is not None:
        modes["wall clock, with the recorder"] = figures.wall
    for name, m in modes.items():
        spent = ", ".join(f"{process} {used * 1e6:.0f}" for process, used in m.cpu_per_cycle.items())
        lines.append(f"  {name}: {spent}")
    lines.append(
        f"recorder at 1 kHz: {figures.recorder_share * 100:.1f} % of a core (aim: at most {RECORDER_AIM * 100:.0f} %); "
        f"in lockstep, a thousand rows: {figures.recorder_share_lockstep * 100:.1f} %"
    )
    for direction, ways in figures.codec_us.items():
        lines.append(f"{direction}, µs: " + ", ".join(f"{way} {cost:.1f}" for way, cost in ways.items()))
    return [*lines, ""]
