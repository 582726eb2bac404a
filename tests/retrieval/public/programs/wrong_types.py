"""A program of mistakes: a type checker finds every line that says so, and no other."""

import retrieval


def ask(photos: retrieval.Collection) -> None:
    retrieval.opne("photos")  # wrong
    photos.serach("a dog")  # wrong
    photos.search(k=5)  # wrong
    photos.search({"a": 1})  # wrong
    photos.search(None)  # wrong
    photos.search(object())  # wrong
    photos.search(["a dog", {"a": 1}])  # wrong
    photos.search("a dog", top_k=5)  # wrong
    photos.search("a dog", k="five")  # wrong
    photos.search("a dog", minus=object())  # wrong
    print(photos.search("a dog")[0].filename)  # wrong
    print(photos.search("a dog").hits)  # wrong
    photos.mask(folder="2019")  # wrong
    retrieval.text(7)  # wrong
    retrieval.text("a dog") * "twice"  # wrong
    retrieval.search("a dog")  # wrong
    print(photos.search("a dog")[0].path)


def write(photos: retrieval.Collection) -> None:
    retrieval.build_index(7)  # wrong
    retrieval.build_index("photos", encoder=7)  # wrong
    retrieval.build_index("photos", kinds="flat")  # wrong
    retrieval.create("photos", dim="wide")  # wrong
    retrieval.load_encoder(7)  # wrong
    photos.insert([[0.0]])  # wrong
    photos.delete(key="a")  # wrong
    photos.add({"a": 1})  # wrong
    photos.add([[0.0]], keys=2.5)  # wrong
    photos.upsert([[0.0]])  # wrong
    photos.add_images(7)  # wrong
    photos.sync_vectors([[0.0]], keys=None)  # wrong
    for key in photos:
        print(key.path)  # wrong


class Mine:
    """No encoder: it has no `encode_pixels`."""

    space = retrieval.Space(name="mine", dim=3, fingerprint="mine")

    def preprocess(self, image: object) -> object:
        return image


def encode() -> None:
    retrieval.build_index("photos", encoder=Mine())  # wrong
    retrieval.Space("mine", 3)  # wrong
    retrieval.Encoder()  # wrong
