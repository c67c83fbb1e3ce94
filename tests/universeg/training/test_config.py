"""Settings: from presets, files and the command line, typed, and none that does not exist."""

from __future__ import annotations

import pytest
import yaml

from megamedical.errors import MegaMedicalError
from universeg.training.augmentation import Augmentation
from universeg.training.config import (
    Config,
    ConfigError,
    load_config,
    presets,
    resolve,
    save_config,
)
from universeg.weights.models import make_model


def test_every_preset_can_be_trained():
    assert {"demo", "v1"} <= set(presets())
    for preset in presets():
        config = resolve(preset)
        make_model(config.model, config.architecture)


def test_v1_is_what_the_paper_says():
    config = resolve("v1")
    assert (config.support_size, config.resolution, config.loss) == (64, 128, "soft-dice")
    assert sum(p.numel() for p in make_model(config.model, config.architecture).parameters()) == (
        1_182_785
    )
    assert config.tasks.roles == ("train",)


def test_a_file_changes_a_preset_and_the_command_line_changes_both(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "steps: 7\n"
        "optimiser: {learning_rate: 1e-3, warm_up: 5}\n"
        "tasks: {weights: {dataset: {acdc: 2}}}\n"
    )
    changes = [
        "optimiser.warm_up=6",
        "architecture.encoder_blocks=[4, 4]",
        "architecture.decoder_blocks=[4]",
        "tasks.roles=[train, extra]",
        "tasks.weights.dataset.wbc=0.5",
        "tasks.unseen=['acdc/*']",
        "augmentation.image.affine.scale=[0.9, 1.0]",
        "optimiser.clip=1",
        "seed=3",
    ]
    config = resolve("demo", file, changes)
    assert (config.steps, config.seed, config.resolution) == (7, 3, resolve("demo").resolution)
    assert config.optimiser.model_dump() == {
        "learning_rate": 1e-3,
        "warm_up": 6,
        "decay": "cosine",
        "clip": 1.0,
        "weight_decay": 0.0,
        "betas": (0.9, 0.999),
    }
    assert config.architecture == {"encoder_blocks": [4, 4], "decoder_blocks": [4]}
    assert config.tasks.roles == ("train", "extra")
    assert config.tasks.weights == {"dataset": {"acdc": 2.0, "wbc": 0.5}}
    assert config.tasks.unseen == ("acdc/*",)
    assert config.augmentation.image.affine.scale == (0.9, 1.0)
    assert config.augmentation.image.affine.degrees == (0, 360)


def test_what_comes_last_counts(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("steps: 7")
    assert resolve("demo", file).steps == 7
    assert resolve("demo", file, ["steps=8", "steps=9"]).steps == 9
    assert resolve("demo", changes=["optimiser={warm_up: 2}"]).optimiser.warm_up == 2


def test_support_sizes_are_said_as_a_whole():
    assert set(resolve("base").support_sizes) == {1, 2, 4, 8, 16, 32, 64}
    assert resolve("base", changes=["support_sizes={8: 2}"]).support_sizes == {8: 2}
    assert resolve("base", changes=["support_sizes={}"]).support_sizes == {}


def test_settings_of_every_preset_are_read_as_they_were_written(tmp_path):
    for preset in presets():
        save_config(resolve(preset), tmp_path / "config.yaml")
        assert load_config(tmp_path / "config.yaml") == resolve(preset)


def test_augmentation_can_be_turned_off_and_some_of_it_on_again():
    assert resolve("v1", changes=["augmentation=none"]).augmentation == Augmentation.none()
    flips = ["augmentation=none", "augmentation.task.flip_vertically.probability=0.5"]
    operations = resolve("v1", changes=flips).augmentation.model_dump()
    assert operations["task"].pop("flip_vertically")["probability"] == 0.5
    rest = [*operations["task"].values(), *operations["image"].values()]
    assert {operation["probability"] for operation in rest} == {0}


def test_another_model_does_not_take_the_architecture_of_the_preset():
    assert resolve("demo", changes=["model=mine", "architecture.width=3"]).architecture == {
        "width": 3
    }
    same = resolve("demo", changes=["model=universeg", "architecture.width=3"]).architecture
    assert same == {**resolve("demo").architecture, "width": 3}


@pytest.mark.parametrize(
    ("change", "name", "instead"),
    [
        ("stepps=3", "stepps", "steps"),
        (
            "optimiser.rate=1",
            "optimiser.rate",
            "learning_rate, warm_up, decay, clip, weight_",
        ),
        ("tasks.role=[train]", "tasks.role", "Did you mean roles?"),
        ("augmentation.task.affine.turn=3", "augmentation.task.affine.turn", "degrees"),
        ("augmentation.picture.blur=3", "augmentation.picture", "task, image"),
        ("tasks.weights.dataste.acdc=1", "dataste", "'dataset', 'group', 'modality'"),
    ],
)
def test_a_setting_that_does_not_exist_is_named_and_those_that_do(change, name, instead):
    with pytest.raises(ConfigError, match="These settings cannot be") as error:
        resolve("demo", changes=[change])
    assert f"{name}" in str(error.value)
    assert instead in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("steps=0", "steps: Input should be greater than or equal to 1, not 0"),
        ("steps=many", "steps: .*valid integer.*, not 'many'"),
        ("optimiser.learning_rate=-1", r"optimiser\.learning_rate: .*greater than 0, not -1"),
        ("loss=hinge", "loss: .*'soft-dice', 'cross-entropy' or 'dice-and-cross-entropy'"),
        ("tasks.weights.dataset.acdc=-2", r"tasks\.weights\.dataset\.acdc: .*, not -2"),
        ("tasks.minimum_area=1", r"tasks\.minimum_area: .*less than 1"),
        ("augmentation.task.blur.kernel=4", r"augmentation\.task\.blur\.kernel: .*odd"),
        ("optimiser=3", "optimiser: "),
        ("optimiser.clip.norm=3", r"optimiser\.clip: "),
    ],
)
def test_a_value_that_cannot_be_is_named(change, said):
    with pytest.raises(ConfigError, match=said):
        resolve("demo", changes=[change])


def test_all_faults_are_said_at_once():
    with pytest.raises(ConfigError, match=r"(?s)steps.*seed"):
        resolve("demo", changes=["steps=0", "seed=-1"])


@pytest.mark.parametrize("change", ["steps", "=3", ""])
def test_what_is_no_change_is_refused(change):
    with pytest.raises(ConfigError, match="changes no setting") as error:
        resolve("demo", changes=[change])
    assert "support_size=16" in error.value.remedy


def test_says_which_presets_there_are():
    with pytest.raises(ConfigError, match="no preset v2") as error:
        resolve("v2")
    assert ", ".join(presets()) in error.value.remedy


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"steps: [", "is not YAML"),
        (b"- steps", "does not hold settings"),
        (b"steps: 3\n\xff\xfe", "is not YAML"),
        (b"!!python/object/apply:os.mkdir [made]", "is not YAML"),
    ],
)
def test_a_file_that_holds_no_settings_is_named(tmp_path, monkeypatch, content, said):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"mine\.yaml.* {said}"):
        resolve("demo", file)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_an_empty_file_changes_nothing_and_a_missing_one_is_named(tmp_path):
    file = tmp_path / "mine.yaml"
    file.touch()
    assert resolve("demo", file) == resolve("demo")
    with pytest.raises(ConfigError, match=r"no settings at .*other\.yaml") as error:
        resolve("demo", tmp_path / "other.yaml")
    assert isinstance(error.value, MegaMedicalError)


def test_what_is_saved_says_everything_and_is_loaded(tmp_path):
    changes = ["optimiser.clip=0.5", "tasks.weights.plane.axial=0.25", "architecture.depth=[1, 2]"]
    config = resolve("demo", changes=changes)
    path = tmp_path / "run" / "config.yaml"
    save_config(config, path)
    assert load_config(path) == config
    assert resolve("v1", path) == config
    assert set(yaml.safe_load(path.read_text())) == set(Config.model_fields)
