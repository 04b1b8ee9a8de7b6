"""Licences in the catalog, what a job's list allows, and language tags."""

import subprocess
import sys

import langcodes
import pytest
from hypothesis import given
from hypothesis import strategies as st
from license_expression import get_spdx_licensing
from support.collection import CHECKOUT

from earmark.catalog.licences import LICENCES, allows, expected_licence, expected_pattern
from earmark.catalog.read import read_catalog
from earmark.corpora import dns_challenge, musdb18
from earmark.errors import CatalogError
from earmark.languages import USUAL, is_language

SPDX = sorted(get_spdx_licensing().known_symbols)


@pytest.mark.parametrize(
    ("patterns", "licence", "allowed"),
    [
        (("CC-BY-*",), "CC-BY-4.0", True),
        (("CC-BY-*",), "CC-BY-3.0", True),
        (("CC-BY-*",), "CC-BY-3.0-IGO", True),
        (("CC-BY-*",), "CC-BY-NC-4.0", False),
        (("CC-BY-*",), "CC-BY-SA-4.0", False),
        (("CC-BY-*",), "CC-BY-NC-SA-4.0", False),
        (("CC-BY-NC-*",), "CC-BY-4.0", False),
        (("CC-BY-4.0",), "CC-BY-3.0", False),
        (("CC0-*", "CC-BY-SA-*"), "CC-BY-SA-4.0", True),
        (("GPL-3.0",), "GPL-3.0-only", True),
        (("GPL-3.0-only",), "GPL-3.0", True),
        (("GPL-*",), "GPL-2.0-or-later", True),
        (("GPL-*",), "LGPL-2.1-only", False),
        (("cc-by-4.0",), "CC-BY-4.0", True),
        (("CC-BY-4.0",), "cc-by-4.0", True),
        (("MIT", "CC-BY-*"), "MIT AND CC-BY-4.0", True),
        (("CC-BY-*",), "MIT AND CC-BY-4.0", False),
        (("CC-BY-*",), "MIT OR CC-BY-4.0", True),
        (("CC-BY-*",), "MIT OR (CC-BY-4.0 AND CC-BY-NC-4.0)", False),
        (("MIT",), "MIT OR (CC-BY-4.0 AND CC-BY-NC-4.0)", True),
        (("GPL-2.0-only",), "GPL-2.0-only WITH Classpath-exception-2.0", True),
        (("LicenseRef-LDC",), "LicenseRef-LDC", True),
        (("LicenseRef-LDC",), "LicenseRef-VoxCeleb", False),
        (("public domain",), "public domain", True),
        (("CC0-1.0",), "public domain", False),
        (("http://x.org/sampling+/1.0/",), "http://x.org/sampling+/1.0/", True),
        (("CC-BY-*",), "http://x.org/sampling+/1.0/", False),
        (("CC-BY-*",), "", False),
    ],
)
def test_a_list_allows_what_it_means(patterns, licence, allowed):
    assert allows(patterns, licence) is allowed


@given(licence=st.sampled_from(SPDX))
def test_every_licence_of_spdx_allows_itself(licence):
    assert not expected_licence(licence)
    assert allows((licence,), licence)


@given(one=st.sampled_from(SPDX), other=st.sampled_from(SPDX), listed=st.sets(st.sampled_from(["one", "other"])))
def test_and_asks_for_both_and_or_for_one(one, other, listed):
    patterns = ("CC-BY-*", *({"one": one, "other": other}[which] for which in listed))
    both, either = allows(patterns, f"{one} AND {other}"), allows(patterns, f"{one} OR {other}")
    assert both == (allows(patterns, one) and allows(patterns, other))
    assert either == (allows(patterns, one) or allows(patterns, other))


@given(text=st.text(max_size=30), pattern=st.text(max_size=30))
def test_any_text_is_judged_without_a_fault_and_allows_itself(text, pattern):
    assert isinstance(expected_licence(text), str)
    assert isinstance(expected_pattern(pattern), str)
    assert isinstance(allows((pattern,), text), bool)
    assert allows((text,), text)


def test_a_copy_of_the_catalog_of_the_version_before_stays_readable():
    assert expected_licence("academic use only") == ""  # its licence of MUSDB18


@pytest.mark.parametrize(
    "licence", ["CC-BY-4.0", "MIT", "MIT OR CC-BY-4.0", "LicenseRef-mine", "LicenseRef-LDC", "GPL-3.0"]
)
def test_spdx_expressions_and_names_of_ones_own_are_taken(licence):
    assert expected_licence(licence) == ""


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("CC-BY-4", 'an SPDX expression such as "CC-BY-4.0" (did you mean "CC-BY-4.0"?)'),
        ("for research only", 'or a name of your own such as "LicenseRef-for-research-only"'),
        ("MIT AND", 'an SPDX expression such as "CC-BY-4.0" or "CC0-1.0 OR MIT"'),
        ("", "an SPDX expression"),
        ("https://x.org", "an SPDX expression"),
    ],
)
def test_a_licence_that_nobody_knows_is_one_line(tmp_path, licence, expected):
    path = tmp_path / "datasets.toml"
    path.write_text(f'[datasets.x]\ncorpus = "mls"\nlicence = "{licence}"\n', "utf-8")
    with pytest.raises(CatalogError) as error:
        read_catalog(path)
    assert str(error.value).startswith("datasets.toml: [datasets.x]: licence: expected an SPDX expression")
    assert expected in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    "pattern", ["CC*", "*", "CC-*", "LicenseRef-*", "CC-BY-*-*", "CC-BY-4", "MIT OR CC-BY-4.0", "", " "]
)
def test_an_entry_that_could_only_be_a_mistake_is_one_line(tmp_path, pattern):
    path = tmp_path / "datasets.toml"
    path.write_text(f'[datasets.x]\ncorpus = "mls"\n[jobs.j]\ndatasets = ["x"]\nlicences = ["{pattern}"]\n', "utf-8")
    with pytest.raises(CatalogError, match=r'\[jobs.j.licences\]: entry 1: expected one licence such as "CC-BY-4.0"'):
        read_catalog(path)


def test_the_readers_own_licences_are_known():
    named = {*dns_challenge.LICENCES.values(), musdb18.LICENSED[1]} - {"public domain"}
    assert named <= LICENCES.keys()


def test_the_shipped_catalog_is_read_without_the_libraries_of_licences_and_languages():
    code = (
        "import sys, pathlib\nfrom earmark.catalog.read import read_catalog\n"
        "read_catalog(pathlib.Path('datasets.toml'))\n"
        "print([name for name in ('langcodes', 'license_expression') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


def test_tags_that_need_no_library_are_those_that_it_takes():
    assert [tag for tag in USUAL if not langcodes.tag_is_valid(tag)] == []


@pytest.mark.parametrize("tag", ["en", "en-GB", "zh-Hant-TW", "es-419", "yue", "cmn-Hans-CN", "sr-Latn", "EN"])
def test_registered_languages_are_taken(tag):
    assert is_language(tag)


@pytest.mark.parametrize("tag", ["english", "xx", "en_US", "", "en-", "zz-Latn", "en-Latin", "e", "x"])
def test_what_is_no_registered_language_is_not(tag):
    assert not is_language(tag)
