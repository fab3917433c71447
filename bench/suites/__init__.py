"""The suites of bench/harness, one a module. A suite offers

TITLE     one line
TIMED     False where neither tables nor plots show times: it then needs no quiet machine (default True)
ABOUT     what its tables and plots show, and how it was done
SIZES     its options at 'quick', 'default' and 'full'
tasks(session)     generator of session.Task: each is measured, or found measured, and its record sent back
tables(records)    what the records say, as tables.Table
figures(records)   as figures.Figure; bench/drawing.py draws them
"""
