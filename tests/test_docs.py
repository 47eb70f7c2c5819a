"""The pages: what the package cites is there, links lead somewhere, names that the pages use exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXPERIMENTS = ROOT / "docs" / "experiments.md"
TEXTS = sorted(
    path
    for suffix in ("py", "md", "toml")
    for folder in ("geosam", "benchmarks")
    for path in ROOT.glob(f"{folder}/**/*.{suffix}")
)
PAGES = sorted(path for pattern in ("*.md", "docs/*.md", "benchmarks/*.md") for path in ROOT.glob(pattern))
NAMED = re.compile(r"docs/experiments\.md`")
CITED = re.compile(r'docs/experiments\.md`,\s+(?:#\s+)?"([^"]+)"')
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAME = re.compile(r"`(geosam(?:\.\w+)+)`")


def headings(page: Path) -> list[str]:
    """Its headings, without the code blocks, in which # is a comment."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^#+ +(.+?) *$", text, flags=re.MULTILINE)


def anchor(heading: str) -> str:
    """How GitHub names a heading in links."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_what_the_package_cites_of_the_experiments_is_there():
    cited = {
        (path, " ".join(found.split())) for path in TEXTS for found in CITED.findall(path.read_text(encoding="utf-8"))
    }
    assert cited, "nothing is cited: the pattern is wrong"
    there = set(headings(EXPERIMENTS))
    assert not {(str(path.relative_to(ROOT)), heading) for path, heading in cited if heading not in there}


def test_the_package_cites_experiments_by_heading_and_no_other_page_of_results():
    for path in ROOT.glob("geosam/**/*.py"):
        text = path.read_text(encoding="utf-8")
        assert len(NAMED.findall(text)) == len(CITED.findall(text)), f"{path}: cites no heading"
        assert "benchmarks/README" not in text, f"{path}: the README keeps no experiments"


def test_no_two_experiments_have_one_heading():
    assert len(set(headings(EXPERIMENTS))) == len(headings(EXPERIMENTS))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, part = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not part or part in [anchor(heading) for heading in headings(target)], link


def test_names_of_the_experiments_exist():
    for name in NAME.findall(EXPERIMENTS.read_text(encoding="utf-8")):
        assert exists(name), name


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or stands in one; read, not imported, since that takes seconds."""
    module, last = ROOT.joinpath(*name.split(".")[:-1]), name.rpartition(".")[2]
    if (module / last).is_dir() or (module / f"{last}.py").is_file():
        return True
    file = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
    return file.is_file() and re.search(rf"\b{last}\b", file.read_text(encoding="utf-8")) is not None


def test_a_citation_is_recognised_across_lines_and_in_comments():
    wrapped = '(`docs/experiments.md`,\n"Second pass in\neverything mode")'
    assert [" ".join(found.split()) for found in CITED.findall(wrapped)] == ["Second pass in everything mode"]
    assert CITED.findall('# `docs/experiments.md`,\n# "Box sides"') == ["Box sides"]
    assert not exists("geosam.masks.clicks.NOT_THERE")
