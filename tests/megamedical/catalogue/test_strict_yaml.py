"""YAML that somebody made to harm, or by mistake: refused in words with its line, and at once."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from benchmark.suite import SuiteError, load_suite
from megamedical.catalogue import strict_yaml
from megamedical.catalogue.datasets import manifest_folder
from megamedical.catalogue.manifest_file import read_manifest
from megamedical.errors import ManifestError
from universeg.training.config import ConfigError, resolve

LINKS = [f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 10)}]" for n in range(9)]
HOSTILE = {
    "aliases of aliases": ("\n".join(["a: &a [x, x, x, x, x, x]", *LINKS]), "line 5"),
    "merges": (
        "a: &a {" + ", ".join(f"k{n}: 1" for n in range(1000)) + "}\n"
        "b: [" + ", ".join(["{<<: *a}"] * 99) + "]",
        "line 2",
    ),
    "an alias of what it is in": ("a: &a [*a]", "line 1"),
    "20,000 keys": ("".join(f"k{n}: 1\n" for n in range(20_000)), "20,000 values"),
    "deep lists": ("[" * 100_000, "nested more than 50 deep"),
    "deep keys": ("{a: " * 5_000, "nested more than 50 deep"),
    "no month": ("id: 1\ndate: 9999-99-99", "line 2"),
    "no year": ("date: 0000-01-01", "line 1"),
    "no hour": ("date: 2001-01-01T99:99:99Z", "line 1"),
    "digits": (f"a: {'9' * 5_000}", "line 1"),
    "a large number": (f"a: {2**63}", "too large a number"),
    "no number": ("a: .nan", "is no number"),
    "infinity": ("a: -.inf", "is no number"),
    "ten megabytes": ("a: " + "x" * 10_000_000, "longer than"),
    "another encoding": (b"id: 1\na: \xff", "line 2 is not UTF-8"),
    "a null": ("id: 1\na: \0", "line 2 has a control character"),
    "an escaped null": ('a: "\\0"', "line 1"),
    "a terminal's order": ("a: \x1b[31m", "line 1 has a control character"),
    "a key that comes twice": ("id: 1\nid: 1", "comes twice"),
    "a key that is a list": ("? [a]\n: 1", "unhashable"),
    "a set that is none": ("a: !!set x", "cannot be read"),
    "code": ("a: !!python/object/apply:os.system [x]", "line 1"),
}


@pytest.mark.parametrize("name", HOSTILE)
class TestHostile:
    @pytest.fixture
    def path(self, tmp_path, name):
        content = HOSTILE[name][0]
        path = tmp_path / "a.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def test_manifests_are_refused(self, path, name):
        self.is_told(ManifestError, lambda: read_manifest(path), path, name)

    def test_suites_are_refused(self, path, name):
        self.is_told(SuiteError, lambda: load_suite(str(path)), path, name)

    def test_settings_of_a_training_are_refused(self, path, name):
        self.is_told(ConfigError, lambda: resolve("mini", path), path, name)

    def is_told(self, kind, read, path, name):
        with pytest.raises(kind) as refused:
            read()
        said = str(refused.value)
        assert str(path) in said
        assert HOSTILE[name][1] in said
        assert len(said) < 1000


def test_settings_on_the_command_line_are_bounded():
    for change in ("a." * 10_000 + "b=1", f"steps={'9' * 5_000}", "steps=9999-99-99"):
        with pytest.raises(ConfigError) as refused:
            resolve("mini", None, [change])
        assert len(str(refused.value)) < 1000


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_whatever_is_written_is_read_or_refused(content):
    try:
        strict_yaml.load(content)
    except yaml.YAMLError as error:
        assert str(error)


@pytest.mark.parametrize("path", sorted(manifest_folder().rglob("*.yaml")), ids=lambda p: p.stem)
def test_packaged_files_say_what_safe_yaml_says(path):
    assert strict_yaml.read(path) == yaml.safe_load(path.read_text(encoding="utf-8"))
