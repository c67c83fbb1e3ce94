"""`megamedical licences`: what one may do with a store, and whom to cite."""

from __future__ import annotations

import json
import re

import pytest

from megamedical import catalog
from megamedical.catalogue.datasets import Catalog
from megamedical.catalogue.licences import Terms, bibliography
from megamedical.catalogue.terms import Licence


def with_terms(**allowed: tuple[bool | None, bool | None]) -> Terms:
    some = catalog()["acdc"]
    return Terms(
        tuple(
            some.model_copy(
                update={
                    "id": name,
                    "licence": Licence(name="x", commercial=terms[0], redistribution=terms[1]),
                }
            )
            for name, terms in allowed.items()
        ),
        (),
    )


class TestVerdict:
    def test_one_dataset_that_forbids_forbids_all(self):
        terms = with_terms(a=(True, True), b=(False, True), c=(None, True))
        assert terms.verdict("commercial") == (False, ("b",))
        assert terms.verdict("redistribution") == (True, ())

    def test_silence_is_no_permission(self):
        assert with_terms(a=(True, True), b=(None, True)).verdict("commercial") == (None, ("b",))

    def test_nor_is_a_dataset_that_nobody_knows(self):
        terms = Terms(with_terms(a=(True, True)).datasets, ("own",))
        assert terms.verdict("commercial") == (None, ("own",))


class TestBibliography:
    def test_has_an_entry_for_each_dataset_of_the_catalogue(self):
        text = bibliography(list(catalog().values()))
        entries = re.findall(r"^@article\{(.*),$", text, re.MULTILINE)
        assert entries == list(catalog())
        assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")

    def test_says_authors_as_bibtex_has_them(self):
        text = bibliography([catalog()["acdc"]])
        assert "author = {Bernard, O and Lalande, A and Zotti, C and others}," in text

    def test_keeps_the_name_of_a_consortium_whole(self):
        some = catalog()["acdc"]
        citation = some.citation.model_copy(update={"authors": "ADHD-200 Consortium", "doi": None})
        text = bibliography([some.model_copy(update={"citation": citation})])
        assert "author = {{ADHD-200 Consortium}}," in text
        assert "doi" not in text

    def test_escapes_what_latex_takes_for_its_own(self):
        some = catalog()["acdc"]
        citation = some.citation.model_copy(update={"title": "R&D: 50 % of_all"})
        text = bibliography([some.model_copy(update={"citation": citation})])
        assert r"R\&D: 50 \% of\_all" in text


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_judges_what_is_in_the_store(megamedical, built, as_json):
    result = megamedical("licences", "--store", built.store, *(["--json"] if as_json else []))
    assert result.exit_code == 0
    if as_json:
        allowed, because = json.loads(result.output)["whole store"]["commercial"]
        assert allowed is False
        assert "acdc" in because
    else:
        assert re.search(r"Commercial use of the whole store: not allowed by .*acdc", result.output)


def test_the_command_writes_what_to_cite(megamedical, built, tmp_path):
    path = tmp_path / "cite.bib"
    megamedical("licences", "--store", built.store, "--bibtex", path)
    assert "@article{acdc," in path.read_text()


def test_a_dataset_of_ones_own_is_named_as_unknown(built):
    from megamedical.catalogue.licences import terms
    from megamedical.store.store import open_store

    found = terms(open_store(built.store).tasks["dataset"], Catalog({"acdc": catalog()["acdc"]}))
    assert [each.id for each in found.datasets] == ["acdc"]
    assert "stare" in found.unknown
