"""Commands take a sharded collection as any other."""

from __future__ import annotations

import json
import shutil

from indexes.generation import read_shards
from tests.retrieval.folders import fill

NAMES = [f"{folder}/{number}.png" for folder in "ab" for number in range(6)]


def test_the_commands_take_a_sharded_collection(tmp_path, run):
    root, place = fill(tmp_path / "photos", NAMES), str(tmp_path / "big")

    assert run("build-index", root, "--index", place, "--shards", "2", "--encoder", "fake")[0] == 0
    code, out, _ = run("query", root / "a/0.png", "--index", place, "-k", "3", "--json")
    assert (code, len(json.loads(out))) == (0, 3)
    assert b"shard-00001: 6 images" in run("info", "--index", place)[1]
    assert len(json.loads(run("info", "--index", place, "--json")[1])["shards"]) == 2
    assert run("verify", "--index", place)[0] == 0
    vectors, keys = tmp_path / "v.npy", tmp_path / "k.txt"
    assert run("export", "--index", place, "--vectors", vectors, "--keys", keys)[0] == 0
    assert len(keys.read_text().splitlines()) == 12
    assert run("evaluate", "--index", place)[0] == 0
    code, _, error = run("add", "--index", place, "--vectors", vectors, "--keys", keys)
    assert (code, "belongs to a file" in error) == (1, True)
    shutil.rmtree(tmp_path / "big/shard-00001")
    code, out, error = run("query", "--id", "0", "--index", place, "--allow-partial", "--json")
    assert (code, json.loads(out)[0]["missing"]) == (0, ["shard-00001"])
    assert "not searched: shard-00001" in error
    none = ("query", "--id", "0", "--index", place, "--allow-partial", "--min-score", "1")
    code, out, error = run(*none, "--json")
    assert (code, json.loads(out)) == (0, [{"missing": ["shard-00001"]}])
    assert "no image qualifies" in error
    assert json.loads(run(*none, "--jsonl")[1]) == {"missing": ["shard-00001"]}
    for form in ("--csv", "-f", "-0"):  # lists of hits, and there is none
        assert b"shard" not in run(*none, form)[1]
    code, _, error = run("query", "--id", "0", "--index", place)
    assert (code, "--allow-partial" in error) == (1, True)
    for command in ("duplicates", "evaluate", "outliers"):
        code, _, error = run(command, "--index", place)
        assert code == 1
        assert (
            "restore it, or build again; or search the others with `retrieve query --allow-partial`" in error
        )
    code, out, error = run("info", "--index", place)
    assert (code, b"shard-00001: 6 images, missing" in out) == (0, True), error
    assert run("verify", "--index", place)[0] == 1


def test_training_again_encodes_codes_and_no_image(tmp_path, run):
    root, place = fill(tmp_path / "photos", NAMES), tmp_path / "big"

    def built(*options):
        code, out, error = run("build-index", root, "--index", place, "--json", *options)
        assert code == 0, error
        return json.loads(out)

    built("--shards", "2", "--encoder", "fake", "--kind", "IVF2,Flat")
    fill(root, ["a/new.png", "b/new.png"], first=700)
    assert built()["encoded"] == 2
    before = read_shards(place)

    assert built("--retrain")["encoded"] == 0

    after = read_shards(place)
    assert after.training != before.training
    assert [one.manifest.count for one in after.shards] == [one.manifest.count for one in before.shards]
    assert all(
        one.manifest.generation > other.manifest.generation
        for one, other in zip(after.shards, before.shards, strict=True)
    )
    facts = json.loads(run("info", "--index", place, "--json")[1])
    assert [shard["training_fit"] for shard in facts["shards"]] == [1, 1]
    assert run("query", "--id", "0", "--index", place)[0] == 0


def test_a_shard_that_begins_later_has_the_encoder_of_the_others(tmp_path, run):
    root, place = fill(tmp_path / "photos", NAMES), tmp_path / "big"
    assert run("build-index", root, "--index", place, "--shards", "2", "--encoder", "fake")[0] == 0
    fill(root, [f"c/{number}.png" for number in range(4)], first=700)

    code, _, error = run("build-index", root, "--index", place, "--shard-rows", "6")

    assert code == 0, error
    encoders = [shard.manifest.encoder for shard in read_shards(place).shards]
    assert encoders == ["fake@1"] * 3


def test_rows_by_hand_tell_of_a_manifest_that_was_written_again(tmp_path, run):
    root, place = fill(tmp_path / "photos", NAMES), tmp_path / "big"
    assert run("build-index", root, "--index", place, "--shards", "2", "--encoder", "fake")[0] == 0
    vectors, keys = tmp_path / "v.npy", tmp_path / "k.txt"
    assert run("export", "--index", place, "--vectors", vectors, "--keys", keys)[0] == 0
    keys.write_text("".join(f"hand{number}\n" for number in range(12)))
    (place / "shard-00001/manifest.json").unlink()

    code, _, error = run("add", "--index", place, "--vectors", vectors, "--keys", keys)

    assert code == 0, error
    assert "note: shard-00001: its manifest.json could not be read and was written again" in error
