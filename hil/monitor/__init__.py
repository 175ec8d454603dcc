"""What a person looks at while a cell runs: ``hil monitor``.

A :class:`hil.monitor.source.Source` gives a :class:`hil.monitor.frame.Frame` ten times a second, everything that is
shown as plain values; :mod:`hil.monitor.panels` turns parts of it into text, :mod:`hil.monitor.app` puts them on the
terminal. A recording can be another source of the same frames, and a further screen another reader of them.
"""
