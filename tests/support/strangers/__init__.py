"""Tables of strangers: random schemas, rows and definitions, with what must become of every row of them.

stranger = draw.strangers(majors)      a hypothesis strategy
judge.live(case, desk, …)              there, there again, and back, with plain SQL as the second opinion
"""
