"""The examples in the documents run and print what they say; what the documents name is there."""

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    *sorted(f"docs/{p.name}" for p in (ROOT / "docs").iterdir()),
]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S)


@pytest.mark.parametrize("page", PAGES)
def test_examples_print_what_they_say(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    examples = "\n".join(block for block in blocks(page, "python") if ">>>" in block)
    test = doctest.DocTestParser().get_doctest(examples, {}, page, page, 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    output: list[str] = []
    runner.run(test, out=output.append)
    assert not runner.failures, "".join(output)


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page):
    text = (ROOT / page).read_text()
    named = re.findall(r"`((?:fakel|tests|scripts|examples|docs)/[\w/.]*)`", text)
    named += re.findall(r"\]\(([\w/.]+)\)", text)
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_commands_are_targets_of_the_makefile():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    used = {name for page in PAGES for name in re.findall(r"\bmake (\w+)`?", _commands(page))}
    assert used and used <= targets


def _commands(page: str) -> str:
    return "\n".join(blocks(page, "sh")) + "\n".join(
        re.findall(r"`([^`]+)`", (ROOT / page).read_text())
    )
