# SPDX-License-Identifier: MIT
"""What is timed, by the names that AXIOM's records have: "pp128", "tg32", "tg32 @ d2000",
"tg32 x8", "tg32 x8 @ d2000".
Must not know: programs."""
import dataclasses
import re

NAME = re.compile(r"(pp|tg)([1-9][0-9]{0,5})( ?x([1-9][0-9]?))?( ?@ ?d([0-9]{1,6}))?$")


@dataclasses.dataclass(frozen=True)
class Test:
    kind: str             # "pp": a prompt, "tg": one token a pass of each sequence
    n_tokens: int         # of each sequence
    n_sequences: int = 1  # side by side
    n_depth: int = 0      # tokens that each has before

    def __str__(self):
        side_by_side = f" x{self.n_sequences}" if self.n_sequences != 1 else ""
        return f"{self.kind}{self.n_tokens}{side_by_side}" + (
            f" @ d{self.n_depth}" if self.n_depth else "")

    @property
    def n_timed(self):
        """Tokens that one repetition counts."""
        return self.n_tokens * self.n_sequences

    @property
    def n_positions(self):
        return self.n_tokens + self.n_depth

    def order(self):
        return (self.kind == "tg", self.n_sequences, self.n_depth, self.n_tokens)


def parse(name):
    """None where it is no test's name; blanks inside may be left out."""
    match = NAME.fullmatch(name)
    if match is None:
        return None
    test = Test(match[1], int(match[2]), int(match[4] or 1), int(match[6] or 0))
    if test.kind == "pp" and (test.n_sequences != 1 or test.n_depth):
        return None  # no program reports it alone
    return test


def combined(pp, tg, depths, side_by_side):
    """Prompts of every length; one token at a time at every depth; many sequences at the least depth,
    since reading their prompts takes far longer than what is timed."""
    tests = [Test("pp", n) for n in pp]
    for n_gen in tg:
        for n_sequences in side_by_side:
            at = depths if n_sequences == 1 else [min(depths)]
            tests += [Test("tg", n_gen, n_sequences, depth) for depth in at]
    return tests
