"""Processes suspended and killed at random moments of a moving arm, on the wall clock.

``python -m hil.campaigns.processes``: 50 suspensions of 5 ms to 5 s over supervisor, recorder and mock, and 20 kills of
each, then the page ``docs/process-faults.md``. Each result is kept in ``runs/`` as it comes: what was interrupted goes
on where it was.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from drivers.errors import ConnectError
from hil.campaigns.process_trials import AGE_BOUND, BRIDGING, VICTIMS, WATCH, Found, Try, carry_out, plan
from hil.campaigns.wall_rig import Disturbed

PAGE = Path("docs/process-faults.md")
SUSPENSIONS, KILLS = 50, 20
SLOW = 4
ATTEMPTS = 10
"""How often a try is begun before the machine counts as too busy for it."""
Results = dict[int, Found]


def campaign(
    tries: Iterable[Try],
    slow: int,
    done: Results,
    keep: Callable[[Try, Found], None] = lambda chosen, found: None,
    say: Callable[[str], None] = lambda text: None,
) -> Results:
    """Carry out what is not ``done`` yet; ``keep`` is called with each result. Raises Disturbed."""
    results = dict(done)
    tries = list(tries)
    for chosen in tries:
        if chosen.number in results:
            continue
        found = attempt(chosen, slow, say)
        results[chosen.number] = found
        keep(chosen, found)
        say(f"{len(results)}/{len(tries)} {describe(chosen)}: {outcome(found)}")
    return results


def attempt(chosen: Try, slow: int, say: Callable[[str], None]) -> Found:
    """One try, begun anew where the machine itself disturbed it. Raises Disturbed where it always did."""
    for count in range(1, ATTEMPTS + 1):
        with tempfile.TemporaryDirectory(prefix="hil-wall-") as folder:
            before = os.environ.get("HIL_RUNTIME_DIR")
            os.environ["HIL_RUNTIME_DIR"] = f"{folder}/rt"
            try:
                found = carry_out(chosen, Path(folder), slow)
            except (Disturbed, ConnectError) as why:
                say(f"  begun anew ({why})")
                continue
            finally:
                if before is None:
                    del os.environ["HIL_RUNTIME_DIR"]
                else:
                    os.environ["HIL_RUNTIME_DIR"] = before
        return Found(**{**asdict(found), "tries": count})
    raise Disturbed(f"{describe(chosen)}: {ATTEMPTS} times a fault came first; the machine is too busy")


def describe(chosen: Try) -> str:
    """In words."""
    what = f"suspended for {_duration(chosen.length)}" if chosen.action == "suspend" else "killed"
    return f"{chosen.victim} {what} in {chosen.motion}"


def outcome(found: Found) -> str:
    """In words."""
    if found.problems:
        return "**VIOLATION**: " + "; ".join(found.problems)
    if not found.stopped:
        return f"went on; {found.commands} commands, the oldest sample among them {found.age * 1e3:g} ms old"
    faults = ", ".join(f"`{code}`" for code in found.faults) or "the robot's own watchdog"
    if math.isnan(found.travel):
        return faults
    return f"{faults}; {found.travel:.2g} rad, {found.travel_tcp * 1e3:.2g} mm, stood after {found.still:.3f} s"


def _duration(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds < 1.0 else f"{seconds:.2f} s"


def load(store: Path, tries: Sequence[Try]) -> Results:
    """Results in ``store`` that belong to ``tries``; a last line that was cut off is not one."""
    results: Results = {}
    if not store.exists():
        return results
    known = {chosen.number: asdict(chosen) for chosen in tries}
    for line in store.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
            if known.get(entry["try"]["number"]) == entry["try"]:
                fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entry["found"].items()}
                results[entry["try"]["number"]] = Found(**fields)
        except (ValueError, KeyError, TypeError):
            continue
    return results


def append(store: Path, chosen: Try, found: Found) -> None:
    """Keep one result; it is on the disk when this returns."""
    store.parent.mkdir(parents=True, exist_ok=True)
    cut = store.exists() and not store.read_bytes().endswith(b"\n")  # in the middle of a line, by a crash
    with store.open("a", encoding="utf-8") as file:
        file.write("\n" if cut else "")
        file.write(json.dumps({"try": asdict(chosen), "found": asdict(found)}) + "\n")
        file.flush()
        os.fsync(file.fileno())


def render_markdown(tries: Sequence[Try], results: Results, seed: int, slow: int) -> str:
    """The page."""
    chosen = [t for t in tries if t.number in results]
    lines = [_head(seed, slow)]
    lines += ["| what | tries | went on | stopped | joint travel, max | TCP travel, max | until rest, max |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
    for action in ("suspend", "kill"):
        for victim in VICTIMS:
            found = [results[t.number] for t in chosen if (t.action, t.victim) == (action, victim)]
            if found:
                lines.append(_summary(f"{victim}, {'suspended' if action == 'suspend' else 'killed'}", found))
    every = [results[t.number] for t in chosen]
    violations = sum(bool(found.problems) for found in every)
    acted = sum(found.commands for found in every)
    oldest = max((found.age for found in every if math.isfinite(found.age)), default=0.0)
    refused = sum(found.refused for found in every)
    void = sum(found.tries - 1 for found in every)
    lines += [
        "",
        f"Violations: {violations}. Commands that acted after the hit: {acted}, the oldest sample among them "
        f"{oldest * 1e3:g} ms old. Commands that came too late after it and did not act, by the hit or by the "
        f"machine's own stalls: {refused}. "
        f"Begun anew because the machine itself held a process up: {void}.",
        "",
        "## Every try",
        "",
        "| # | process | motion | what came of it |",
        "| --- | --- | --- | --- |",
    ]
    for t in chosen:
        what = f"suspended {_duration(t.length)}" if t.action == "suspend" else "killed"
        lines.append(f"| {t.number} | {t.victim} {what} | {t.motion} | {outcome(results[t.number])} |")
    return "\n".join(lines) + "\n"


def _summary(name: str, found: Sequence[Found]) -> str:
    stopped = [f for f in found if f.stopped]

    def largest(values: list[float], scale: float, unit: str) -> str:
        known = [value for value in values if not math.isnan(value)]
        return f"{max(known) * scale:.2g} {unit}" if known else "–"

    travel = largest([f.travel for f in stopped], 1.0, "rad")
    tcp = largest([f.travel_tcp for f in stopped], 1e3, "mm")
    still = largest([f.still for f in stopped], 1.0, "s")
    return f"| {name} | {len(found)} | {len(found) - len(stopped)} | {len(stopped)} | {travel} | {tcp} | {still} |"


def _head(seed: int, slow: int) -> str:
    pace = "in real time" if slow == 1 else f"{slow} times slower than real time"
    return f"""# Processes that are held up or killed

Generated by `make campaign` (`python -m hil.campaigns.processes`), seed {seed}: a mocked cell in operation whose mock,
supervisor and recorder are processes on the wall clock, with cycles of 1 ms, while the arm swings, or polishes with
20 N. Here the clock of the cell ran {pace}, so that stalls of a busy machine do not stop the arm;
all times below are the cell's. At a random moment a process gets SIGSTOP, and SIGCONT after 5 ms to 5 s, or SIGKILL.
Judged from the mock's ground truth:

- **No stale command acts.** Every command that acts answers a packet less than {AGE_BOUND * 1e3:g} ms old, one receive
  period, by the robot's clock. That is a fact of the protocol: an answer reflects the counter of the packet it was made
  for, and one that comes later, or behind a newer one, is counted and does nothing. On our side the gate asks the clock
  anew before it passes a command, so that a supervisor that was held up in the middle of a cycle latches `sample_stale`
  instead of sending. What remains is a stop between the gate and the socket: the robot refuses that one.
- **The arm comes to rest**: after {BRIDGING * 1e3:g} ms without a command the robot brakes by itself. Travel is counted
  from the hit to closed brakes and rest; it includes the motion itself, at up to 0.6 rad/s.
- **Nothing moves again by itself**: over {WATCH:g} s after rest no torque acts, no brake opens, no session state takes
  commands. Every fault is latched with causes and remedy; it can be acknowledged, and the cell is ready, not enabled.

A suspension so short that no limit was exceeded may go on; a recorder never stops the arm. World and clock of a
suspended mock stand still with it, and its truth dies with a killed one: there the truth of the mock that is started
anew is judged, and that the supervisor latched a fault. The moments are seeded; the wall clock does not repeat.

"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 1 where a demand was not met, 2 where the machine was too busy, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="python -m hil.campaigns.processes", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slow", type=int, default=SLOW, help=f"times slower than real time ({SLOW})")
    parser.add_argument("--suspensions", type=int, default=SUSPENSIONS, help="in all")
    parser.add_argument("--kills", type=int, default=KILLS, help="of each process")
    parser.add_argument("--output", type=Path, default=PAGE)
    parser.add_argument("--store", type=Path, help="results so far (runs/campaign-processes-SEED-SLOW.jsonl)")
    options = parser.parse_args(arguments)
    store = options.store or Path(f"runs/campaign-processes-{options.seed}-{options.slow}.jsonl")
    tries = plan(options.seed, options.suspensions, options.kills)
    done = load(store, tries)

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    if done:
        say(f"{len(done)} of {len(tries)} are in {store}; remove it to begin anew")
    try:
        results = campaign(tries, options.slow, done, lambda chosen, found: append(store, chosen, found), say)
    except Disturbed as why:
        say(str(why))
        return 2
    except KeyboardInterrupt:
        say(f"interrupted; what was done is in {store}, the same command goes on from there")
        return 130
    part = options.output.with_name(options.output.name + ".part")
    part.write_text(render_markdown(tries, results, options.seed, options.slow), encoding="utf-8")
    os.replace(part, options.output)
    return int(any(found.problems for found in results.values()))


if __name__ == "__main__":
    sys.exit(main())
