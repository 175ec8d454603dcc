"""Every command of ``hil`` in one application."""

from __future__ import annotations

from hil.cli import (
    can,
    cells,
    dynamics,
    evaluate,
    excite,
    explain,
    gains,
    guide,
    lint,
    log,
    mock,
    models,
    monitor,
    new_app,
    operate,
    replay,
    reproduce,
    run,
    train,
)

app = new_app()
app.command("demo")(run.demo)
app.command("run")(run.run)
app.command("mock")(mock.mock)
app.command("cells")(cells.cells)
app.command("check")(cells.check)
app.command("lint")(lint.lint)
operate.add_to(app)
app.command("monitor")(monitor.monitor)
app.command("guide")(guide.guide)
app.command("excite")(excite.excite)
app.command("explain")(explain.explain)
app.command("replay")(replay.replay_command)
app.add_typer(log.app, name="log")
app.add_typer(can.app, name="can")
train.app.command("dynamics")(dynamics.train)
train.app.command("gains")(gains.gains)
app.add_typer(train.app, name="train")
evaluate.app.command("dynamics")(dynamics.evaluate)
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(models.app, name="models")
app.add_typer(reproduce.app, name="reproduce")
