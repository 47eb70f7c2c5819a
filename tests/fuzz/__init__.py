"""A seeded fuzzer: sound inputs, damaged in one or a few places, given to the real command line.

``python -m tests.fuzz --cases 500 --seed 1`` from the root of the checkout, or ``make fuzz``. Each case ends with valid
outputs, or with one line that names something of the input; whatever else it does is a finding, printed with the words
that repeat it. Cases of one seed and number are the same everywhere.

=========  ==============================================================
module     responsibility
=========  ==============================================================
sound      the inputs from which all cases come: scenes, layers, runs
mutate     bytes, text, trees, tables and TIFF directories, damaged
cases      a case: files, and the words of a command
kinds      what is damaged, kind by kind
maps       the commands that make maps and say what they are worth
asked      random options, from the command line's own parameters
child      a command in a process of its own, within limits
judge      whether what came of it is right
=========  ==============================================================
"""
