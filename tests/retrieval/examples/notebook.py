"""Look through photographs in a notebook: each cell shows its last line. Editors open this file as a notebook."""

# ruff: noqa: B018 - the last line of a cell is what it shows

# %%
import retrieval

retrieval.build_index("photos/")

# %%
photos = retrieval.open("photos/")
photos

# %%
photos.search("a cat", k=4)

# %%
cat = photos.search("a cat")[0]
cat

# %%
photos.search(retrieval.image(cat.file) + 0.5 * retrieval.text("at night") - retrieval.text("people"), k=3)

# %%
answers = photos.search(["a cup of coffee", "the moon"], k=3)
answers[1]

# %%
answers[0].to_pandas()[["rank", "score", "path"]]

# %%
photos.search_vectors(photos.vectors([cat.path]), k=3)

# %%
retrieval.evaluate(photos)
