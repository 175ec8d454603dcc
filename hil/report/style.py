"""How the report looks."""

CSS = """
:root { --ink: #2b3440; --soft: #6b7785; --line: #e4e8ec; --good: #1b7f5c; --bad: #b3261e; }
* { box-sizing: border-box }
body {
  margin: 0; background: #f6f7f9;
  color: var(--ink); font: 15px/1.55 system-ui, "Segoe UI", "Noto Sans", sans-serif }
main { max-width: 960px; margin: 0 auto; padding: 40px 24px 80px }
h1 { font-size: 26px; font-weight: 650; margin: 0; letter-spacing: -0.01em }
h2 { font-size: 17px; font-weight: 650; margin: 0 0 12px }
.facts, .soft { color: var(--soft) }
.facts { margin: 4px 0 20px; font-variant-numeric: tabular-nums }
section { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 20px 22px; margin: 16px 0 }
aside {
  border-left: 4px solid #e6a100; background: #fff8e6;
  padding: 10px 16px; border-radius: 0 8px 8px 0; font-size: 14px }
table { border-collapse: collapse; width: 100%; font-size: 14px }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: 12.5px }
th, td { padding: 5px 12px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top }
tr:last-child td { border-bottom: 0 }
.num { font-variant-numeric: tabular-nums; overflow-wrap: anywhere }
.mark { width: 24px; color: var(--soft); font-weight: 700 }
.ok { color: var(--good) } .warn { color: #9a6700 } .no, .fault td { color: var(--bad) }
.badge {
  font-size: 13px; font-weight: 600; padding: 2px 10px;
  border-radius: 99px; vertical-align: middle; letter-spacing: 0 }
.badge.good { background: #e2f3ec; color: var(--good) } .badge.bad { background: #fbe6e4; color: var(--bad) }
.badge.none { background: var(--line); color: var(--soft) }
.strip { display: flex; height: 30px; border-radius: 6px; overflow: hidden; gap: 1px }
.strip span {
  color: #fff; font-size: 12px; line-height: 30px;
  text-align: center; overflow: hidden; white-space: nowrap }
.scale { display: flex; justify-content: space-between; color: var(--soft); font-size: 12px; margin-top: 4px }
figure { margin: 0 } img { width: 100%; height: auto; display: block }
figcaption { color: var(--soft); font-size: 13px; margin-top: 8px }
details { border-top: 1px solid var(--line); padding: 8px 0 } details:first-of-type { border-top: 0 }
summary { cursor: pointer; font-weight: 600 }
pre { overflow: auto; background: #f6f7f9; border-radius: 8px; padding: 12px; font-size: 12.5px; line-height: 1.45 }
@media print { body { background: #fff } section { break-inside: avoid; border: 0; padding: 12px 0 } }
"""
