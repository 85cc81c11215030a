"""Whether the tests notice faults: small faults planted in the rules, one at a time.

``python -m tests.mutants`` plants a sample of them and prints those that no test noticed. (mutmut
changes nothing outside of functions; cosmic-ray runs all tests for each fault.)
"""
