from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

pytest.importorskip("lxml")
sys.path.insert(0, str(Path(__file__).parents[1] / "literature"))

import written_papers as written

from aris.cli.app import app


@pytest.fixture(autouse=True)
def own_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARIS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ARIS_LIBRARY", raising=False)


def run(*words: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["literature", *map(str, words)])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def test_from_files_to_an_answer_with_references(tmp_path: Path) -> None:
    added = run("add", written.pubmed(tmp_path), written.medline(tmp_path), "--lexical")
    assert "1 added, 0 updated, 0 known" in added.stdout and "3 papers" in added.stderr
    found = json.loads(run("search", "zinc cold", "--by", "lexical", "--json").stdout)
    assert found["hits"][0]["paper"]["pmid"] == "1001"
    assert "RETRACTED" in run("search", "nothing holds", "--by", "lexical").stdout
    said = run(
        "ask", "Do zinc lozenges shorten the common cold?", "--no-model", "--lexical", "--export", tmp_path / "r.bib"
    )
    assert said.stdout.startswith("Zinc lozenges shortened the common cold by 2.3 days in 199 adults (p<0.01). [1]")
    assert "randomized controlled trial, 2020" in said.stdout and "PMID: 1001" in said.stdout
    assert "sentences are the passages' own words" in said.stderr
    assert "@article{" in (tmp_path / "r.bib").read_text()
    told = json.loads(
        run("ask", "Do zinc lozenges shorten the common cold?", "--no-model", "--lexical", "--json").stdout
    )
    assert told["answered"] and told["passages"][0]["heading"] == "Results"


def test_not_enough_is_exit_code_1(tmp_path: Path) -> None:
    run("add", written.pubmed(tmp_path), "--lexical")
    assert (
        "Not enough in this library" in run("ask", "Who won the world cup?", "--no-model", "--lexical", code=1).stdout
    )


def test_bad_files_leave_the_good_ones(tmp_path: Path) -> None:
    short = tmp_path / "short.pdf"
    short.write_bytes(written.pdf(tmp_path).read_bytes()[:700])
    result = run("add", short, tmp_path / "absent.xml", written.markdown(tmp_path), "--lexical", "--json", code=1)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["added"] for row in rows] == [0, 0, 1]
    assert "damaged or cut short" in rows[0]["error"] and "no such file" in rows[1]["error"]


def test_list_remove_export_and_retractions(tmp_path: Path) -> None:
    run("add", written.pubmed(tmp_path, written.article(1), written.article(2, title="Second")), "--lexical")
    listed = tmp_path / "list.csv"
    listed.write_text("pmid\n2\n")
    assert "1 papers of the library are retracted" in run("retractions", listed).stdout
    (row,) = (json.loads(line) for line in run("list", "--retracted", "--json").stdout.splitlines())
    assert row["pmid"] == "2"
    assert "Second [retracted]" in run("export", "--format", "vancouver").stdout
    out = tmp_path / "all.ris"
    run("export", "--out", out)
    assert out.read_text().count("TY  - JOUR") == 2
    assert json.loads(run("remove", "2", "10.9/none", "--json", code=1).stdout) == {
        "removed": 1,
        "missing": ["10.9/none"],
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ask", "x", "--no-model"), "no library"),
        (("list",), "no library"),
        (("search", "x", "--by", "magic"), "not one of"),
        (("search", "x", "--since", "2020", "--until", "2010"), "is after"),
        (("ask", "x", "--export", "list.docx"), ".ris or .bib"),
        (("export", "--format", "word"), "not one of"),
    ],
)
def test_misuse_is_one_line(words: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(app, ["literature", *words])
    assert result.exit_code in (1, 2) and said in " ".join(result.output.replace("│", " ").split()), result.output
