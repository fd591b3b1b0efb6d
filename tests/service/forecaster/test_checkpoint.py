import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
from safetensors.torch import load_file, save_file

from kronos_service.forecaster import (
    CheckpointError,
    CheckpointInvalid,
    CheckpointNotFound,
    DeviceUnavailable,
    checkpoint,
    forecast,
    load_checkpoint,
    source,
)

WEIGHTS = "model.safetensors"


@pytest.fixture
def folders(demo_folders, tmp_path) -> tuple[Path, Path]:
    """A copy of the demo's model and tokenizer folders, to damage."""
    copies = tmp_path / "some-model", tmp_path / "some-tokenizer"
    for original, copy in zip(demo_folders, copies, strict=True):
        shutil.copytree(original, copy)
    return copies


def load_folders(folders, **options):
    return load_checkpoint(*map(str, folders), **options)


def edit_config(folder: Path, **changes) -> None:
    """Change keys of config.json; None removes one."""
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))


def edit_weights(folder: Path, edit) -> None:
    tensors = {name: tensor.clone() for name, tensor in load_file(folder / WEIGHTS).items()}
    edit(tensors)
    save_file(tensors, folder / WEIGHTS)


def assert_invalid(folders, *texts, error=CheckpointInvalid):
    with pytest.raises(error) as raised:
        load_folders(folders)
    assert isinstance(raised.value, CheckpointError)
    for text in texts:
        assert text in str(raised.value)


@pytest.mark.parametrize(("name", "parameters"), [("mini", 4_108_032), ("small", 24_741_376)])
def test_loads_what_the_reference_saved(load, name, parameters):
    loaded = load(name, 64)

    assert loaded.parameters == parameters
    assert (loaded.model_name, loaded.tokenizer_name) == (name, "tokenizer")
    assert loaded.dtype == torch.float32
    assert (loaded.device, loaded.max_context) == (torch.device("cpu"), 64)


def test_the_context_follows_the_size_unless_it_is_given(load):
    for name, context in {"mini": 2048, "small": 512}.items():
        loaded = load(name)
        assert (loaded.max_context, loaded.max_context_from) == (context, "size")
    loaded = load("mini", 100)
    assert (loaded.max_context, loaded.max_context_from) == (100, "setting")
    with pytest.raises(CheckpointInvalid, match="max_context"):
        load("mini", 0)


def test_the_name_says_nothing_about_the_context(folders):
    model, tokenizer = folders
    mini = model.rename(model.with_name("Kronos-mini"))

    assert load_folders((mini, tokenizer)).max_context == 512


def test_two_fine_tunings_of_one_name_differ_in_their_revisions(folders, tmp_path):
    before = load_folders(folders)
    again = [shutil.copytree(folder, tmp_path / "again" / folder.name) for folder in folders]
    same = load_folders(again)
    assert (same.model_name, same.revision, same.tokenizer_revision) == (
        before.model_name,
        before.revision,
        before.tokenizer_revision,
    )
    edit_weights(again[0], lambda tensors: tensors["norm.weight"].add_(1e-3))
    edit_config(again[1], note="a fine-tuning")
    after = load_folders(again)
    assert (after.model_name, after.tokenizer_name) == (before.model_name, before.tokenizer_name)
    assert after.revision != before.revision
    assert after.tokenizer_revision != before.tokenizer_revision


def test_a_revision_is_what_sha256sum_says(folders):
    content = b"".join((folders[0] / name).read_bytes() for name in ("config.json", WEIGHTS))
    printed = subprocess.run(["sha256sum"], input=content, stdout=subprocess.PIPE, check=True).stdout
    assert load_folders(folders).revision == printed.decode()[:12]


def test_a_folder_is_named_by_its_own_name(folders, monkeypatch):
    monkeypatch.chdir(folders[0])

    assert load_folders((".", f"{folders[1]}/")).model_name == "some-model"
    assert load_folders((".", f"{folders[1]}/")).tokenizer_name == "some-tokenizer"


# Folders and files


def test_no_such_folder(folders):
    assert_invalid((folders[0] / "x", folders[1]), "no folder", "some-model/x", error=CheckpointNotFound)
    assert_invalid(("kronos", folders[1]), "no folder kronos", "owner/name", error=CheckpointNotFound)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("file", ["config.json", WEIGHTS])
def test_a_file_is_missing(folders, which, file):
    (folders[which] / file).unlink()

    assert_invalid(folders, "no file", str(folders[which] / file), error=CheckpointNotFound)


def test_a_file_instead_of_a_folder(folders):
    assert_invalid((folders[0] / WEIGHTS, folders[1]), "is a file", "give the folder")


def test_a_folder_where_a_file_should_be(folders):
    (folders[0] / WEIGHTS).unlink()
    (folders[0] / WEIGHTS).mkdir()

    assert_invalid(folders, "no file", error=CheckpointNotFound)


@pytest.mark.parametrize("file", ["config.json", WEIGHTS])
def test_a_file_that_cannot_be_read(folders, monkeypatch, file):
    def refuse(*_args, **_options):
        raise PermissionError("not yours")

    monkeypatch.setattr(*((Path, "read_bytes") if file == "config.json" else (checkpoint, "load_file")), refuse)

    assert_invalid(folders, file, "cannot be read: not yours")


def test_swapped_folders(folders):
    assert_invalid(folders[::-1], "n_enc_layers is missing", "swapped")


# config.json


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe\xff", b"\x80{}", b"[" * 100_000], ids=["empty", "cut", "utf16", "latin", "deep"]
)
def test_config_is_not_json(folders, content):
    (folders[0] / "config.json").write_bytes(content)

    assert_invalid(folders, "config.json", "is not JSON")


def test_config_is_not_an_object(folders):
    (folders[0] / "config.json").write_text("[1]")

    assert_invalid(folders, "JSON list, not an object")


@pytest.mark.parametrize(
    ("which", "changes", "message"),
    [
        (0, {"d_model": None}, "d_model is missing"),
        (1, {"group_size": None, "n_dec_layers": None}, "n_dec_layers is missing; group_size is missing"),
        (0, {"n_layers": "2"}, "n_layers must be an integer from 1 to 256, got '2'"),
        (0, {"n_layers": 2.0}, "n_layers must be an integer"),
        (0, {"n_layers": True}, "n_layers must be an integer"),
        (0, {"n_layers": 0}, "n_layers must be an integer"),
        (0, {"n_layers": 10**9}, "n_layers must be an integer"),
        (0, {"s1_bits": 63}, "s1_bits must be an integer from 1 to 20"),
        (0, {"learn_te": None}, "learn_te is missing"),
        (0, {"learn_te": False}, "learn_te must be True, got False"),
        (0, {"token_dropout_p": "much"}, "token_dropout_p must be a number"),
        (1, {"beta": [1]}, "beta must be a number"),
        (0, {"n_heads": 5}, "d_model 96 must be a multiple of twice n_heads 5"),
        (0, {"n_heads": 96}, "d_model 96 must be a multiple of twice n_heads 96"),
        (
            0,
            {"d_model": 60, "n_heads": 1},
            "d_model 60 must be a multiple of twice the number of s2 attention heads, 4",
        ),
        (1, {"n_heads": 5}, "n_heads 5"),
        (1, {"d_in": 5}, "d_in is 5, but a candle has 6"),
        (1, {"group_size": 3}, "group_size 3 does not divide"),
        (0, {"n_layers": 0, "d_model": 0}, "d_model must be an integer from 1 to 65536, got 0; n_layers must be"),
    ],
)
def test_config_is_wrong(folders, which, changes, message):
    edit_config(folders[which], **changes)

    assert_invalid(folders, str(folders[which] / "config.json"), message)


def test_what_only_training_reads_may_be_missing(folders):
    edit_config(folders[0], token_dropout_p=None, attn_dropout_p=None)
    edit_config(folders[1], beta=None, gamma=1, zeta=0)

    assert load_folders(folders)


def test_bits_of_model_and_tokenizer_differ(folders):
    edit_config(folders[1], s1_bits=10, s2_bits=6)
    edit_weights(folders[1], lambda t: t.update({"post_quant_embed_pre.weight": torch.zeros(64, 10)}))

    assert_invalid(folders, "has s1_bits 8", "has 10", "the tokenizer that the model was trained with")


def test_keys_that_libraries_add_are_ignored(folders, make_series):
    before = forecast(load_folders(folders), make_series(seed=1)).paths
    for folder in folders:
        edit_config(
            folder, architectures=["Kronos"], model_type="kronos", torch_dtype="float32", rope_base=5, _name="x"
        )

    assert np.array_equal(forecast(load_folders(folders), make_series(seed=1)).paths, before)


# Tensors


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 100, 5_000, -1])
def test_weights_are_cut_short(folders, keep):
    path = folders[0] / WEIGHTS
    path.write_bytes(path.read_bytes()[:keep])

    assert_invalid(folders, str(path), "is damaged or not a safetensors file", "fetch it again")


@pytest.mark.parametrize(
    "content", [b"version https://git-lfs.github.com/spec/v1\n", b"\xff" * 64, b"\x02" + b"\0" * 7 + b"{}" * 9]
)
def test_weights_are_something_else(folders, content):
    (folders[0] / WEIGHTS).write_bytes(content)

    assert_invalid(folders, "is damaged or not a safetensors file")


def test_a_header_of_another_type_of_numbers(folders):
    path = folders[0] / WEIGHTS
    path.write_bytes(path.read_bytes().replace(b'"F32"', b'"Q32"'))

    assert_invalid(folders, "is damaged or not a safetensors file")


def test_tensors_are_missing(folders):
    edit_weights(folders[0], lambda tensors: [tensors.pop(name) for name in list(tensors) if "norm" in name])

    assert_invalid(folders, "8 tensors missing: dep_layer.norm.weight, norm.weight", "and more")


def test_tensors_are_unexpected(folders):
    edit_weights(folders[1], lambda tensors: tensors.update(extra=torch.zeros(1)))

    assert_invalid(folders, "1 tensors unexpected: extra;")


@pytest.mark.parametrize("name", ["head.proj_s1.weight", "transformer.1.self_attn.rotary.inv_freq"])
def test_tensors_have_another_shape(folders, name):
    edit_weights(folders[0], lambda tensors: tensors.update({name: torch.zeros(3, 2)}))

    assert_invalid(folders, f"1 tensors of the wrong shape: {name} [3, 2] instead of [")


def test_tensors_and_config_differ(folders):
    edit_config(folders[0], n_layers=4)

    assert_invalid(folders, "13 tensors missing: transformer.3.", "and more")


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_tensors_are_no_real_numbers(folders, dtype):
    edit_weights(folders[0], lambda tensors: tensors.update({"norm.weight": torch.ones(96, dtype=dtype)}))

    assert_invalid(folders, f"1 tensors of the wrong type: norm.weight {dtype} instead of torch.float32")


def test_integer_tables_must_stay_integers(folders):
    edit_weights(folders[1], lambda t: t.update({"tokenizer.bsq.basis": t["tokenizer.bsq.basis"].float()}))

    assert_invalid(folders, "tokenizer.bsq.basis torch.float32 instead of torch.int64")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_tensors_are_not_finite(folders, value):
    edit_weights(folders[0], lambda tensors: tensors["norm.weight"].__setitem__(5, value))

    assert_invalid(folders, "not finite in norm.weight")


def test_numbers_too_large_for_float32(folders):
    edit_weights(
        folders[0], lambda tensors: tensors.update({"norm.weight": torch.full((96,), 1e300, dtype=torch.float64)})
    )

    assert load_file(folders[0] / WEIGHTS)["norm.weight"].dtype == torch.float64
    assert_invalid(folders, "not finite in norm.weight")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_floats_are_converted(folders, make_series, dtype):
    edit_weights(
        folders[0],
        lambda tensors: tensors.update({name: tensor.to(dtype) for name, tensor in tensors.items()}),
    )

    loaded = load_folders(folders)

    assert loaded.model.table.dtype == loaded.tokenizer.table.dtype == torch.float32
    assert np.isfinite(forecast(loaded, make_series()).paths).all()


def test_missing_buffers_are_computed(folders, make_series):
    before = forecast(load_folders(folders), make_series(seed=1)).paths
    for folder in folders:
        kept = load_file(folder / WEIGHTS)
        buffers = [name for name in kept if "rotary.inv_freq" in name or ".bsq." in name]
        assert buffers
        save_file({name: tensor for name, tensor in kept.items() if name not in buffers}, folder / WEIGHTS)

    assert np.array_equal(forecast(load_folders(folders), make_series(seed=1)).paths, before)


def test_no_weight_is_left_random(folders):
    weights = {name: value for folder in folders for name, value in load_file(folder / WEIGHTS).items()}
    names = [name for name in weights if "inv_freq" not in name and ".bsq." not in name]
    for folder in folders:
        content = (folder / WEIGHTS).read_bytes()
        for name in set(names) & load_file(folder / WEIGHTS).keys():
            edit_weights(folder, lambda tensors, name=name: tensors.pop(name))
            assert_invalid(folders, f"1 tensors missing: {name}")
            (folder / WEIGHTS).write_bytes(content)


def test_the_stored_frequencies_are_used(folders):
    names = [name for name in load_file(folders[0] / WEIGHTS) if name.endswith("inv_freq")]
    size = len(load_file(folders[0] / WEIGHTS)[names[0]])
    edit_weights(folders[0], lambda tensors: tensors.update({name: torch.arange(size).float() for name in names}))

    assert load_folders(folders).model.stack.frequencies.tolist() == list(range(size))


def test_frequencies_that_differ_between_layers_are_refused(folders):
    edit_weights(folders[0], lambda tensors: tensors["transformer.1.self_attn.rotary.inv_freq"].mul_(2))

    assert_invalid(folders, "differ between layers")


def test_files_may_be_replaced_under_a_loaded_checkpoint(folders, make_series):
    series = make_series(seed=1)
    loaded = load_folders(folders)
    before = forecast(loaded, series).paths

    for folder in folders:
        path = folder / WEIGHTS
        with path.open("r+b") as file:
            file.write(b"\xff" * path.stat().st_size)
            file.truncate(10)

    assert np.array_equal(forecast(loaded, series).paths, before)


# Devices and the hub


@pytest.mark.parametrize("device", ["abacus", "cuda:99", ""])
def test_no_such_device(folders, device):
    with pytest.raises(DeviceUnavailable, match="choose another"):
        load_folders(folders, device=device)


@pytest.fixture
def hub(folders, tmp_path, monkeypatch):
    """A hub that holds both demo folders; the calls to it."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    calls = []

    def snapshot_download(hub_id, *, revision, allow_patterns):
        calls.append((hub_id, revision, allow_patterns))
        snapshot = tmp_path / hub_id / commit
        shutil.copytree(folders[0 if "mini" in hub_id else 1], snapshot, dirs_exist_ok=True)
        return str(snapshot)

    monkeypatch.setattr(source, "snapshot_download", snapshot_download)
    monkeypatch.chdir(tmp_path)
    return calls, commit


def test_a_hub_id_is_downloaded_at_its_revision(hub):
    calls, commit = hub

    loaded = load_folders(("NeoQuasar/Kronos-mini", "NeoQuasar/Kronos-Tokenizer-2k"), model_revision="v1")

    files = ["config.json", WEIGHTS]
    assert sorted(calls) == [
        ("NeoQuasar/Kronos-Tokenizer-2k", None, files),
        ("NeoQuasar/Kronos-mini", "v1", files),
    ]
    assert (loaded.model_name, loaded.revision) == ("NeoQuasar/Kronos-mini", commit)
    assert (loaded.tokenizer_name, loaded.tokenizer_revision) == ("NeoQuasar/Kronos-Tokenizer-2k", commit)
    assert loaded.max_context == 512


def test_a_folder_goes_before_a_hub_id_of_that_name(folders, hub):
    calls, _ = hub
    shutil.copytree(folders[0], "here/model")

    assert load_folders(("here/model", folders[1])).model_name == "model"
    assert not calls


def test_a_folder_has_no_revision(folders):
    with pytest.raises(CheckpointInvalid, match="local folder, which has no revision 'v1'"):
        load_folders(folders, model_revision="v1")
    with pytest.raises(CheckpointInvalid, match="local folder, which has no revision 'v2'"):
        load_folders(folders, tokenizer_revision="v2")


@pytest.mark.parametrize(
    "error",
    [
        LocalEntryNotFoundError("offline"),
        HFValidationError("odd id"),
        RuntimeError("client closed"),
        OSError("disk full"),
    ],
)
def test_a_hub_that_fails(folders, monkeypatch, error):
    def fail(*_args, **_options):
        raise error

    monkeypatch.setattr(source, "snapshot_download", fail)

    assert_invalid((folders[0], "owner/name"), "owner/name", str(error), "local folder", error=CheckpointNotFound)


def test_a_repository_without_the_files(folders, monkeypatch, tmp_path):
    monkeypatch.setattr(source, "snapshot_download", lambda *_args, **_options: str(tmp_path))

    assert_invalid((folders[0], "owner/name"), "no file", "config.json", error=CheckpointNotFound)
