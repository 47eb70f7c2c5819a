"""Weights: recognised, verified, fetched whole, refused with a reason."""

import hashlib
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from geosam import models as registry
from geosam.errors import ModelError, WeightsError
from geosam.models import (
    SPECS,
    downloads,
    load_model,
    models,
    read_sam,
    spec,
    to_predictor,
    weights_path,
    write_sam,
)
from geosam.models.downloads import download, hash_file
from geosam.models.weights import differences, recognise, shapes_of
from geosam.nano.recipe import nano_recipe
from geosam.segmenter import Clicks, PromptBatch
from geosam.training.config import read_config, spec_of


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("GEOSAM_CACHE", str(folder))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(downloads, "PAUSE_S", 0.0)
    return folder


@pytest.fixture(scope="module")
def weights_file(small, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    write_sam(small, path)
    return path


# the list


def test_a_close_name_is_suggested():
    with pytest.raises(
        ModelError, match=r"model 'vit-b': expected one of nano, nano2, vit_b, .* did you mean 'vit_b'\?"
    ):
        spec("vit-b")


def test_rows_say_where_the_weights_are(cache, layouts):
    rows = {row.name: row for row in models()}
    assert rows["vit_h"].parameters == layouts["vit_h"]["count"]
    assert rows["vit_b"].where == "not here"
    assert {rows[name].licence for name in SPECS} == {"Apache-2.0"}
    weights_path(SPECS["vit_b"]).parent.mkdir(parents=True)
    weights_path(SPECS["vit_b"]).write_bytes(b"12345")
    row = {row.name: row for row in models()}["vit_b"]
    assert row.where == str(cache / "sam_vit_b_01ec64.pth")
    assert row.bytes == 5


def test_published_specs_are_complete():
    for each in SPECS.values():
        assert bool(each.url) == (each.encoder == "vit")
        if each.url:
            assert re.fullmatch(r"[0-9a-f]{64}", each.sha256)
            assert each.url.startswith("https://")


@pytest.mark.parametrize("name", ["nano", "nano2"])
def test_a_built_in_model_is_what_its_training_makes(name):
    """The registry's sizes and the training configuration's are the same; and the weights, once they are here, load."""
    made, listed = spec_of(read_config(Path(str(resources.files("geosam.training"))) / f"{name}.toml")), SPECS[name]
    recipe = nano_recipe(refines=True, scores=True)
    made = replace(made, judged=True, sharpened=True, recipe=recipe)  # these come at its end
    assert shapes_of(made) == shapes_of(listed)
    for field in ("side", "width", "drawn", "position_side", "focus_px", "sharpened", "judged", "recipe", "source"):
        assert getattr(made, field) == getattr(listed, field), field
    if weights_path(listed).exists():
        assert load_model(name).name == name
        assert weights_path(listed).stat().st_size <= 25e6
        assert load_model(weights_path(listed)).recipe == listed.recipe


# files


def test_a_written_model_is_read_back_by_its_path(small, weights_file):
    predictor = load_model(weights_file)
    digest = hashlib.sha256(weights_file.read_bytes()).hexdigest()
    assert predictor.key == f"small-{digest[:12]}"
    assert predictor.name == "small"
    assert predictor.sam.spec == small.spec
    for name, value in small.state_dict().items():
        found = predictor.sam.state_dict()[name]
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, value, rtol=1e-3, atol=1e-6)
    frequencies = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
    assert torch.equal(predictor.sam.state_dict()[frequencies], small.state_dict()[frequencies])


def test_a_loaded_model_computes(weights_file, small):
    """Buffers that no file holds must not stay without storage."""

    window = np.random.default_rng(1).integers(0, 256, (3, 64, 96), dtype=np.uint8)
    found, expected = load_model(weights_file).encode(window), to_predictor(small, "small").encode(window)
    for a, b in zip(found, expected, strict=True):
        difference = np.linalg.norm(a.astype(np.float64) - b) / np.linalg.norm(b.astype(np.float64))
        assert difference < 1e-2
    points, labels = np.full((1, 1, 2), 30, np.float32), np.ones((1, 1), np.int64)
    logits, _ = load_model(weights_file).decode(found, PromptBatch(points=points, labels=labels))
    assert np.isfinite(logits).all()


def test_a_file_is_loaded_once_until_it_changes(small, tmp_path):
    path = tmp_path / "mine.safetensors"
    write_sam(small, path)
    first = load_model(str(path))
    assert load_model(path) is first
    changed = {name: value + 0.5 for name, value in small.state_dict().items()}
    save_file(changed, path, metadata={"geosam_spec": json.dumps({**small.spec.to_dict(), "name": "other"})})
    assert load_model(path).name == "other"


def test_a_network_is_copied_whole_or_not_at_all(tiny, small, tmp_path):
    """Of a large transformer not all stays in memory; what was read again must not be another's."""
    paths = [tmp_path / "tiny.safetensors", tmp_path / "small.safetensors"]
    for sam, path in zip((tiny, small), paths, strict=True):
        write_sam(sam, path)
        model = load_model(path)
        model.encode(np.zeros((3, 64, 64), np.uint8))
        names = model.copy_network().state_dict().keys()
        assert names == sam.state_dict().keys()
        write_sam(sam, path, metadata={"other": "file"})
        if sam is tiny:
            with pytest.raises(WeightsError, match="changed since it was loaded"):
                model.copy_network()
        else:  # nothing needs to be read again
            assert model.copy_network().state_dict().keys() == names


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"model": s}, lambda s: {"state_dict": s, "epoch": 3}])
def test_pickled_state_dicts_are_recognised_by_their_shapes(small, tmp_path, wrap, monkeypatch):
    monkeypatch.setitem(SPECS, "small", small.spec)
    path = tmp_path / "finetuned.pth"
    torch.save(wrap(small.state_dict()), path)
    sam = read_sam(path)
    assert sam.spec.name == "small"
    assert not any(parameter.requires_grad for parameter in sam.parameters())


@pytest.mark.parametrize("name", ["vit_b", "vit_l", "vit_h"])
def test_each_published_layout_is_recognised(name):
    shapes = dict(shapes_of(SPECS[name]))
    shapes.pop(next(iter(shapes)))
    assert recognise(shapes).name == name


def test_a_wrong_file_says_which_parameters_differ(small, tmp_path):
    state = small.state_dict()
    state["mask_decoder.iou_token.weight"] = torch.zeros(2, 32)
    state.pop("image_encoder.stem.bias")
    state |= {f"extra.{i}": torch.zeros(1) for i in range(9)}
    path = tmp_path / "wrong.safetensors"
    save_file(state, path, metadata={"geosam_spec": json.dumps(small.spec.to_dict())})
    with pytest.raises(WeightsError) as raised:
        load_model(path)
    message = str(raised.value)
    assert "1 missing: image_encoder.stem.bias" in message
    assert "9 unexpected: extra.0, extra.1, extra.2, extra.3, …" in message
    assert "1 of the wrong shape: mask_decoder.iou_token.weight (2, 32) instead of (1, 32)" in message
    assert "the parameters of 'small'" in message


def test_no_differences_no_words():
    assert differences({"a": (1,)}, {"a": (1,)}) == ""


class Code:
    """Unpickling this runs code."""

    def __reduce__(self):
        return print, ("this must not be printed",)


def test_code_in_a_pickle_is_refused_and_not_run(tmp_path, capsys):
    path = tmp_path / "evil.pth"
    torch.save({"weight": Code()}, path)
    with pytest.raises(WeightsError, match="tensors only"):
        load_model(path)
    assert "this must not be printed" not in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", bytes(range(256)) * 9])
def test_damaged_files_are_refused(tmp_path, suffix, content):
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        load_model(path)


@pytest.mark.parametrize("part", [0.3, 0.999])
def test_truncated_files_are_refused(weights_file, tmp_path, part):
    path = tmp_path / "short.safetensors"
    path.write_bytes(weights_file.read_bytes()[: int(weights_file.stat().st_size * part)])
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        load_model(path)


@pytest.mark.parametrize("text", ["[]", "1", "{", '{"name": "x"}', "[" * 100_000, '{"name": ' * 50_000, "NaN", ""])
def test_nonsense_metadata_is_refused(small, tmp_path, text):
    path = tmp_path / "mine.safetensors"
    save_file(small.state_dict(), path, metadata={"geosam_spec": text})
    with pytest.raises(WeightsError, match=r"cannot be read as weights|the specification in '.*mine.safetensors'"):
        load_model(path)


WRONG = {
    "name": [None, "", 1, "a\x1b[31mb", "x" * 300],
    "encoder": [None, "swin", ["conv"], "vit"],
    "side": [0, -1, 31, 65, 10**9, "64", 64.5, True, None],
    "width": [0, -32, 7, 10**9, "32", float("inf")],
    "drawn": [1, "yes", None],
    "position_side": [-1, 10**30, 0.5],
    "object_px": [-1, "x", float("nan"), True],
    "focus_px": [[0], [16.0], "16", [16] * 99, [[16]], None],
    "encoder_sizes": [
        None,
        {},
        {"widths": [8] * 3},
        {"depths": [10**9] * 4},
        {"widths": [8, 8, 16, "16"]},
        {"colour": 1},
    ],
    "decoder_sizes": [
        None,
        {"heads": 3},
        {"heads": 0},
        {"activation": "tanh"},
        {"activation": []},
        {"mlp": 10**9},
        {"depth": 10**9},
        {"multimask": 5},
        {"fine_channels": [8, 4]},
        {"iou_hidden": True},
    ],
    "thresholds": [
        None,
        "x",
        [],
        {"passes": 10**9},
        {"passes": 0},
        {"passes": 1.0},
        {"colour": 1},
        {"judged": 1},
        {"pred_iou_threshold": float("nan")},
        {"pred_iou_threshold": None},
        {"spacing_px": "16"},
        {"overlap": 2},
    ],
    "recipe": [
        None,
        "x",
        [],
        {"everything": None},
        {"everything": {"passes": 10**9}},
        {"everything": {"colour": 1}},
        {"clicks": {"ambiguity": 2}},
        {"clicks": {"reach": "far"}},
        {"second_pass": {"iou_weights": [1]}},
        {"quality": {"enabled": 1}},
        {"colour": {}},
    ],
    "colour": [1],
}
"""Values that the fields of a specification must not hold; those of a table take the place of its own."""


@pytest.mark.parametrize("field", WRONG)
def test_every_field_of_a_specification_is_typed_and_bounded(small, tmp_path, field):
    """A stranger's file must not decide how much memory is taken, nor end in a trace."""
    path = tmp_path / "mine.safetensors"
    described = json.loads(json.dumps(asdict(small.spec)))
    for value in WRONG[field]:
        before = described.get(field)
        given = {**before, **value} if isinstance(before, dict) and value and isinstance(value, dict) else value
        rest = {name: each for name, each in described.items() if name != "recipe" or field != "thresholds"}
        save_file(small.state_dict(), path, metadata={"geosam_spec": json.dumps({**rest, field: given})})
        with pytest.raises(
            WeightsError, match=field if field != "encoder" or value != "vit" else "vit|width"
        ) as raised:
            read_sam(path)
        assert str(path) in str(raised.value)
        assert len(str(raised.value)) < 1000


def test_what_a_header_says_is_held_against_the_specification_before_anything_is_read(small, tmp_path):
    """A file of a few bytes cannot make a large network, and tensors of other types or shapes are named."""
    path = tmp_path / "mine.safetensors"
    described = asdict(small.spec) | {"width": 4096}
    save_file({"a": torch.zeros(1)}, path, metadata={"geosam_spec": json.dumps(described)})
    with pytest.raises(WeightsError, match=r"\d+ missing: .*1 unexpected: a"):
        read_sam(path)
    for odd in (torch.zeros(32, dtype=torch.int64), torch.full((32,), float("nan")), torch.full((32,), float("inf"))):
        name = "image_encoder.norm.norm.bias"
        save_file(small.state_dict() | {name: odd}, path, metadata={"geosam_spec": json.dumps(asdict(small.spec))})
        with pytest.raises(WeightsError, match=f"{name} .*finite numbers"):
            read_sam(path)


def test_weights_of_earlier_versions_are_treated_as_they_were(small, tmp_path, caplog):
    """What ``thresholds`` said stands in the recipe; a mask refiner brought all that is done with clicks."""
    path = tmp_path / "mine.safetensors"
    described = {name: value for name, value in asdict(small.spec).items() if name not in ("recipe", "judged")}
    thresholds = {"spacing_px": 16, "passes": 1, "overlap": 0.2, "support": True, "redraw": True, "spare": False}
    old = {**described, "object_px": 0.0, "thresholds": thresholds}
    save_file(small.state_dict(), path, metadata={"geosam_spec": json.dumps(old)})
    recipe = read_sam(path).spec.recipe
    assert (recipe.everything.spacing_px, recipe.everything.passes, recipe.everything.relax) == (16, 1, 0.1)
    assert (recipe.suppression.overlap, recipe.suppression.consensus) == (0.2, True)
    assert recipe.second_pass.everything
    assert (recipe.clicks, recipe.refinement.enabled, recipe.quality.enabled) == (Clicks(), False, False)
    assert not caplog.records
    save_file(small.state_dict(), path, metadata={"geosam_spec": json.dumps({**old, "object_px": 112.0})})
    read_sam(path)
    assert "object_px=112.0 of these weights is outdated" in caplog.text
    clicks = {"reach": 2.0, "jitter_px": [[0, 0], [4, 4]], "clip": 8.0}
    save_file(
        small.state_dict(), path, metadata={"geosam_spec": json.dumps({**described, "recipe": {"clicks": clicks}})}
    )
    assert read_sam(path).spec.recipe.clicks == Clicks(reach=2.0)
    assert "jitter_px=((0, 0), (4, 4)) of these weights is outdated" in caplog.text


def test_the_built_in_model_reads_alike_by_name_and_by_path():
    """Its file is of an earlier version, and is treated by the recipe of today."""
    assert load_model(weights_path(SPECS["nano"])).recipe == SPECS["nano"].recipe == load_model("nano").recipe


@pytest.mark.parametrize(
    "name", ["", ".", "/", "nanoo", "~no-such-user/x.pth", "a\x00b", "a" * 400, "a" * 400 + ".pth"]
)
def test_names_that_are_none_are_refused_with_what_there_is(name):
    with pytest.raises(ModelError, match=r"nano, nano2, vit_b, vit_l, vit_h"):
        load_model(name)


def test_a_home_that_nobody_has_is_no_cache(monkeypatch):
    monkeypatch.setenv("GEOSAM_CACHE", "~no-such-user/cache")
    assert registry.cache_folder() == Path("~no-such-user/cache")


def test_a_pickle_of_something_else_is_refused(tmp_path):
    path = tmp_path / "list.pth"
    torch.save([1, 2, 3], path)
    with pytest.raises(WeightsError, match="expected a state dict"):
        load_model(path)


def test_an_absent_file_is_an_error_of_weights(tmp_path):
    with pytest.raises(WeightsError, match=r"absent\.pth"):
        load_model(tmp_path / "absent.pth")


@pytest.mark.parametrize(
    "arguments",
    [{"device": "cuda:99"}, {"device": "toaster"}, {"device": "meta"}, {"device": ""}, {"dtype": "float64"}],
)
def test_devices_and_precisions_that_are_not_there(weights_file, arguments):
    load = load_model.__wrapped__ if hasattr(load_model, "__wrapped__") else load_model  # past the shape checker
    with pytest.raises(ModelError):
        load(weights_file, **arguments)


def test_a_damaged_file_in_the_cache_is_not_used(cache):
    cache.mkdir()
    (cache / "sam_vit_b_01ec64.pth").write_bytes(b"half a checkpoint")
    with pytest.raises(WeightsError, match="delete it, and it will be downloaded again"):
        load_model("vit_b")


# download

CONTENT = np.random.default_rng(5).bytes(300_000)


class Handler(BaseHTTPRequestHandler):
    """Serves ``CONTENT``, cut off as often as the server's list of cuts says."""

    def do_GET(self):
        self.server.requests.append(self.headers.get("Range"))
        if self.path != "/weights.pth":
            self.send_error(404)
            return
        start = 0
        if self.headers.get("Range") and self.server.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"]).group(1))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        stop = self.server.cuts.pop(0) if self.server.cuts else len(CONTENT)
        self.wfile.write(CONTENT[start:stop])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.requests, running.cuts, running.ranges = [], [], True
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def remote(server):
    return replace(
        SPECS["vit_b"],
        url=f"http://127.0.0.1:{server.server_port}/weights.pth",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        bytes=len(CONTENT),
    )


def test_download_lands_whole(server, remote, cache):
    download(remote, cache / "w.pth")
    assert hash_file(cache / "w.pth") == remote.sha256
    assert [path.name for path in cache.iterdir()] == ["w.pth"]
    assert server.requests == [None]


def test_a_broken_connection_is_taken_up_where_it_broke(server, remote, cache):
    server.cuts = [100_000, 200_000]
    download(remote, cache / "w.pth")
    assert hash_file(cache / "w.pth") == remote.sha256
    assert server.requests == [None, "bytes=100000-", "bytes=200000-"]


def test_a_server_without_ranges_sends_all_again(server, remote, cache):
    server.cuts, server.ranges = [100_000], False
    download(remote, cache / "w.pth")
    assert hash_file(cache / "w.pth") == remote.sha256


def test_a_later_process_goes_on(server, remote, cache):
    cache.mkdir()
    (cache / "w.pth.part").write_bytes(CONTENT[:123_456])
    download(remote, cache / "w.pth")
    assert hash_file(cache / "w.pth") == remote.sha256
    assert server.requests == ["bytes=123456-"]


def test_a_connection_that_keeps_breaking_keeps_what_arrived(server, remote, cache):
    server.cuts = [50_000] * 9
    with pytest.raises(WeightsError, match="50000 bytes are kept"):
        download(remote, cache / "w.pth")
    assert not (cache / "w.pth").exists()
    assert (cache / "w.pth.part").stat().st_size == 50_000
    assert len(server.requests) == downloads.ATTEMPTS


def test_a_wrong_hash_leaves_nothing_in_place(remote, cache):
    wrong = replace(remote, sha256="0" * 64)
    with pytest.raises(WeightsError, match="expected 000000000000…; what arrived was deleted"):
        download(wrong, cache / "w.pth")
    assert [path.name for path in cache.iterdir()] == ["w.pth.lock"]


def test_a_stale_part_of_another_file_is_found_out_and_the_next_try_is_clean(remote, cache):
    cache.mkdir()
    (cache / "w.pth.part").write_bytes(b"x" * 1000)
    with pytest.raises(WeightsError, match="has SHA-256"):
        download(remote, cache / "w.pth")
    download(remote, cache / "w.pth")
    assert hash_file(cache / "w.pth") == remote.sha256


def test_of_several_at_a_time_one_fetches_and_the_others_find_it_there(server, remote, cache):
    """They once wrote to one file together, and a half-written one could be moved into place."""
    server.cuts = [90_000, 170_000]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: download(remote, cache / "w.pth"), range(4)))
    assert server.requests == [None, "bytes=90000-", "bytes=170000-"]
    assert hash_file(cache / "w.pth") == remote.sha256
    assert [path.name for path in cache.iterdir()] == ["w.pth"]


def test_one_takes_over_from_another_that_failed(server, remote, cache):
    server.cuts = [50_000] * (2 * downloads.ATTEMPTS - 1)

    def fetch(_):
        try:
            download(remote, cache / "w.pth")
        except WeightsError as error:
            return str(error)
        return "all there"

    with ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(fetch, range(2)))
    assert said[0] == "all there"
    assert "50000 bytes are kept" in said[1]
    assert hash_file(cache / "w.pth") == remote.sha256


def test_a_folder_that_cannot_be_written_to_is_named(server, remote, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError, match=r"cannot write to '.*file.cache'.*; set GEOSAM_CACHE to one"):
        download(remote, tmp_path / "file" / "cache" / "w.pth")
    assert server.requests == []


def test_progress_shows_on_a_terminal_and_only_there(remote, cache, monkeypatch, capsys):
    download(remote, cache / "quiet.pth")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")
    download(remote, cache / "shown.pth")
    out, err = capsys.readouterr()
    assert out == ""
    assert "weights of vit_b" in err


def test_a_refusal_is_not_repeated(server, remote, cache):
    with pytest.raises(WeightsError, match=r"404.*w\.pth"):
        download(replace(remote, url=remote.url.replace("weights", "absent")), cache / "w.pth")
    assert len(server.requests) == 1


def test_without_a_connection_the_error_says_what_to_do(remote, cache):
    nowhere = replace(remote, url="http://127.0.0.1:9/weights.pth")
    with pytest.raises(WeightsError, match="use the built-in model 'nano'"):
        download(nowhere, cache / "w.pth")


def test_load_model_downloads_what_is_not_here(server, tiny, cache, monkeypatch):
    """From the name to a model that computes, over a real connection; the second time from the cache."""
    path = cache.parent / "tiny.pth"
    torch.save(tiny.state_dict(), path)
    content = path.read_bytes()
    monkeypatch.setattr(f"{__name__}.CONTENT", content)
    url = f"http://127.0.0.1:{server.server_port}/weights.pth"
    remote = replace(tiny.spec, url=url, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    monkeypatch.setitem(registry.SPECS, "tiny", remote)
    predictor = load_model("tiny", dtype="float32")
    assert predictor.key == f"tiny-{remote.sha256[:12]}"
    assert predictor.encode(np.zeros((3, 256, 256), np.uint8))[0].shape == (256, 16, 16)
    registry._load.cache_clear()
    load_model("tiny")
    assert server.requests == [None]
