"""Label photographs in a table by what they look like, with pandas."""

from __future__ import annotations

import pandas as pd

import retrieval

LABELS = ["a cat", "a cup of coffee", "the moon", "a person"]

with retrieval.open("photos/") as photos:
    answers = photos.search(LABELS, k=5)
    found = pd.concat(
        [hits.to_pandas().assign(label=label) for label, hits in zip(LABELS, answers, strict=True)]
    )
    best = found.sort_values("score").drop_duplicates("path", keep="last").set_index("path")

    vectors, keys = photos.export()
    table = pd.DataFrame(vectors, index=pd.Index(keys, name="path")).astype("float32")
    near = pd.DataFrame(photos.search_vectors(table.to_numpy(), k=2)).query("rank == 2")
    near = near.assign(
        path=[keys[number] for number in near["query"]], twin=[photos.key_of(i) for i in near["id"]]
    )

    report = best[["label", "score"]].join(near.set_index("path")["twin"])
    report.to_csv("labels.csv")
    print(report)

    with retrieval.create("by-label/", space=photos.space) as means:
        centres = table.groupby(best["label"].reindex(table.index)).mean()
        means.upsert(centres, keys=centres.index)
        print(means.search_vectors(table.loc[best.index[:1]], k=1))
