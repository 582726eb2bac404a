"""Say what to type where a name was guessed wrong.

Other libraries have other names for the same things. An error that only says that a name is unknown sends the reader to
the documentation; this one says what the name is here. Nothing here costs time until a name is wrong.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

# What other libraries call things, and what they are here.
_NAMES: dict[str, dict[str, str]] = {
    "retrieval": {
        "retrieval.open(folder).search(query)": "search query find knn similarity_search",
        "retrieval.open(folder)": "load load_index load_collection read read_index connect open_index open_collection from_folder",
        "retrieval.build_index(folder)": "index build fit index_folder index_images from_images",
        "retrieval.create(directory, dim=…)": "new create_index create_collection create_table Index IndexFlatIP Client",
        "retrieval.open(folder).add(vectors, keys)": "add add_vectors upsert insert",
        "retrieval.open(folder).delete(keys)": "delete remove",
        "retrieval.load_encoder(spec)": "encode embed encoder Model SentenceTransformer get_encoder",
        "retrieval.text(words)": "words Text",
        "retrieval.image(path)": "picture img Image",
        "retrieval.build_index(folder) or retrieval.sync_vectors(folder, vectors, keys), which save what they make": (
            "write write_index save save_index dump"
        ),
        "retrieval.map_images(collection)": "map make_map plot visualize umap tsne projection atlas",
        "retrieval.cluster(collection)": "groups clusters kmeans group find_groups",
        "retrieval.outliers(collection)": "find_outliers anomalies odd",
        "retrieval.representatives(collection)": "coreset sample select diverse prototypes",
        "retrieval.classify(collection, labels)": "predict_labels label auto_label tag",
        "retrieval.suspects(collection, labels)": "label_errors label_issues find_label_issues mislabeled",
        "retrieval.duplicates(collection)": "dedup dedupe deduplicate find_duplicates near_duplicates",
        "retrieval.query_by_examples(collection, like, unlike)": "like few_shot by_examples",
    },
    "Collection": {
        "search(query, k=10)": "query find ask similarity_search search_images search_text",
        "search_vectors(vectors, k=10)": "knn nearest kneighbors neighbors nearest_neighbors get_nearest_examples",
        "keys(), or iterate over the collection": "paths files filenames names items list all",
        "id_of(key), key_of(id) or mask()": "ids",
        "vectors()": "values embeddings reconstruct reconstruct_n to_numpy get_vectors array",
        "vectors([key]) or id_of(key)": "get get_vector fetch lookup retrieve",
        "len(collection)": "count count_rows ntotal size n num_rows",
        "len(collection) and collection.space.dim": "shape",
        "collection.space.dim": "dim d dimension width ndim",
        "export(), which gives vectors and keys": "to_pandas to_df dataframe head",
        "add(vectors, keys)": "append insert extend add_vectors add_with_ids add_items index train fit",
        "add_images(images, keys)": "add_image add_files add_folder insert_images",
        "upsert(vectors, keys)": "update put replace set merge_insert",
        "delete(keys=…), delete(ids=…) or delete(where=…)": "remove remove_ids drop pop discard delete_where delete_rows clear",
        "nothing: a call that changes rows has saved them when it returns": "save commit flush persist write",
        "mask(where=…, under=…, glob=…, ids=…)": "where select",
        "refresh()": "reload sync checkout_latest",
        "map_images()": "map make_map plot visualize umap tsne projection atlas",
        "cluster()": "groups clusters kmeans group find_groups",
        "outliers()": "find_outliers anomalies odd",
        "representatives()": "coreset sample diverse prototypes",
        "classify(labels)": "predict_labels label auto_label tag",
        "suspects(labels)": "label_errors label_issues find_label_issues mislabeled",
        "duplicates()": "dedup dedupe deduplicate find_duplicates near_duplicates",
        "query_by_examples(like, unlike)": "like few_shot by_examples",
    },
    "Row": {
        "key": "path filename name",
        "vector": "embedding values array",
        "open()": "image img picture pil load",
        "columns": "metadata meta payload attributes",
        "link or file": "url href",
    },
    "Hits": {
        "search(…, k=…)": "limit top head topk",
        "to_dicts()": "to_list to_json_list tolist asdict to_dict",
        "json.dumps(hits)": "to_json json",
        "to_pandas()": "to_df df to_dataframe dataframe",
        "[hit.path for hit in hits]": "paths path files keys file",
        "[hit.score for hit in hits]": "scores score distances",
        "[hit.id for hit in hits]": "ids id indices",
    },
    "encoder": {
        "encode(images)": "encode_image encode_images embed embed_image embed_images get_image_features predict forward",
        "encode(words)": "encode_texts embed_text embed_texts embed_query get_text_features",
        "space.dim": "dim get_sentence_embedding_dimension",
    },
    "Hit": {
        "path": "filename name key file_name filepath uri",
        "score, which is the cosine: higher is better": "distance similarity cosine_similarity dist",
        "open()": "image img picture pil load",
        "columns": "metadata meta payload entity attributes",
        "link or file": "url href",
        "duplicates": "copies_paths",
    },
}
_ARGUMENTS: dict[str, str] = {
    "k": "top_k topk limit n n_results num_results num_images n_neighbors size count top",
    "min_score": "threshold score_threshold minimum_score cutoff similarity_threshold",
    "mask": "filter filters where_mask keep_mask selector sel params",
    "where, under, glob, ids or mask": "prefilter",
    "under": "folder path directory prefix subfolder",
    "glob": "pattern regex",
    "query": "text image q query_text query_texts words img queries query_vector",
    "keys": "ids names labels paths metadata metadatas key",
    "vectors": "embeddings embedding data x X vector",
    "images": "image files paths imgs",
    "encoder": "model model_name embedder embedding_function encoder_name",
    "index": "output out output_dir index_dir index_path",
    "exclude or include": "recursive extensions suffixes ext pattern",
    "kind": "index_type factory index_factory",
    "target_recall": "accuracy min_recall",
    "dim": "dimension dims width d vector_size size ndim",
    "progress": "show_progress show_progress_bar verbose progress_bar callback",
    "include_self": "self_included with_self",
    "fold_duplicates": "deduplicate dedup dedupe unique",
    "minus": "negative negatives unlike",
    "device": "gpu cuda",
}


def missing_attribute(owner: str, name: str, known: Iterable[str]) -> AttributeError:
    """Return the error for a name that something does not have, with the name that is meant.

    Args:
        owner: ``retrieval``, ``encoder`` or a class's name.
        name: what was asked for.
        known: the public names that there are.
    """
    what = {"retrieval": "module 'retrieval'", "encoder": "the encoder"}.get(owner, f"{owner!r} object")
    message = f"{what} has no attribute {name!r}"
    if not name.startswith("_"):
        message += _advice(owner, name, known)
    return AttributeError(message)


def _advice(owner: str, name: str, known: Iterable[str]) -> str:
    for meant, guesses in _NAMES.get(owner, {}).items():
        if name in guesses.split():
            return f"; use {meant}"
    if owner == "encoder":  # asked often for what it may or may not have
        return ""
    import difflib

    public = [other for other in known if not other.startswith("_")]
    close = difflib.get_close_matches(name, public, n=1, cutoff=0.7)
    return f"; did you mean {close[0]!r}?" if close else ""


def attribute_of(this: object, name: str) -> Any:
    """Serve as the ``__getattr__`` of a class: raise the error that says what is meant.

    Raises:
        AttributeError: always; where the class has the name, the error that its property raised.
    """
    if hasattr(type(this), name):
        return object.__getattribute__(this, name)  # a property failed: its own error says why
    owner = "encoder" if hasattr(type(this), "encode_pixels") else type(this).__name__
    raise missing_attribute(owner, name, dir(type(this)))


def named_arguments(function: F) -> F:
    """Let a function say, when its arguments do not fit, what they are called here.

    It returns what it takes, by its type, too: so type checkers know decorated functions within circles of imports.
    """
    old: dict[str, str] = {}

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:  # a call that fits costs nothing more: searches have a thousand a second
            return function(*args, **kwargs)
        except TypeError as error:
            if not old.keys().isdisjoint(kwargs):
                kwargs = _renamed(function, kwargs, old)
            elif message := _misfit(function, args, kwargs):
                raise TypeError(message) from error
            else:
                raise
        return call(*args, **kwargs)

    call.__dict__["old"] = old
    return cast("F", call)


def renamed_keywords(**names: str) -> Callable[[F], F]:
    """Let a function of `named_arguments` take old keyword arguments, each with a warning: ``@renamed_keywords(keep="mask")``."""

    def decorate(function: F) -> F:
        function.__dict__["old"].update(names)
        return function

    return decorate


def _renamed(function: Callable[..., Any], kwargs: dict[str, Any], old: dict[str, str]) -> dict[str, Any]:
    """Return keyword arguments under their new names, and warn of each old one.

    Raises:
        TypeError: one is given by both of its names.
    """
    renamed = {}
    for name, value in kwargs.items():
        new = old.get(name, name)
        if new != name:
            if new in kwargs:
                raise TypeError(
                    f"{function.__name__}() got {new} and {name}, which is its old name; leave out {name}"
                )
            warnings.warn(f"{name}= is called {new}= now", DeprecationWarning, stacklevel=3)
        renamed[new] = value
    return renamed


def _misfit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """Return what is wrong with the arguments of a call, and what to type; None where they fit."""
    parameters = inspect.signature(function).parameters
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError as error:
        fault = str(error)
    else:
        return None
    method = "self" in parameters  # named by the class that callers know, wherever it is defined
    name = f"{type(args[0]).__name__}.{function.__name__}()" if method else f"{function.__name__}()"
    for given in kwargs:
        if given not in parameters:
            meant = _argument(given, parameters)
            return f"{name} has no argument {given!r}" + (f"; use {meant}" if meant else "")
    takes = [
        parameter.name
        for parameter in parameters.values()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.name != "self"
    ]
    if "too many positional" in fault:
        others = [
            f"{key}=" for key, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY
        ]
        return f"{name} takes only {', '.join(takes) or 'no argument'} without a name; name the others, such as {', '.join(others[:3])}"
    return f"{name}: {fault}"


def _argument(given: str, parameters: Iterable[str]) -> str:
    import difflib

    known = [name for name in parameters if name != "self"]
    for meant, guesses in _ARGUMENTS.items():
        offered = [name for name in meant.replace(" or ", ", ").split(", ") if name in known]
        if given in guesses.split() and offered:
            return " or ".join(f"{name}=" for name in offered)
    close = difflib.get_close_matches(given, known, n=1)
    return f"{close[0]}=" if close else ""
