"""
Random commands over whole lives of payments, each answer predicted by a second opinion.

`auditor` is the second opinion: plain Python from the written contract, importing nothing of the
modules it judges. `commands` says what can be asked, `world` carries it out through the use cases
and the dispatcher's drain, `driver` compares. `test_machine` runs a short machine in the suite,
`python -m payflow.tests.machine` a long one.
"""
