"""Check a condition that a stranger may have written, on the engine's own parse tree, and write it out for the engine again.

The engine parses the text; nothing of it is run. What comes back is a tree of nodes, of which only those listed here may
occur. The columns in it get the engine's own names for them, and the engine writes the whole as text again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from retrieval.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROWS: Final = "rows"
"""What the engine calls the table of columns."""

ROW_ID: Final = "id"
"""Its column of row ids; the others have names that nobody wrote."""

LONGEST: Final = 10_000
"""Characters of a condition."""

MOST_BRACKETS: Final = 200
"""That a condition opens: the engine's parser takes minutes for thousands that are not closed."""

LONGEST_PATTERN: Final = 200
"""Characters of a pattern: a longer one takes minutes where texts are long."""

_NAMED: Final = 20  # columns that a message names

_PLAIN: Final = frozenset({"COLUMN_REF", "CONSTANT", "COMPARISON", "CONJUNCTION", "BETWEEN", "CASE"})
_OPERATORS: Final = frozenset(
    {
        "COMPARE_IN",
        "COMPARE_NOT_IN",
        "OPERATOR_COALESCE",
        "OPERATOR_IS_NOT_NULL",
        "OPERATOR_IS_NULL",
        "OPERATOR_NOT",
        "OPERATOR_NULLIF",
        "OPERATOR_TRY",
    }
)
_TYPES: Final = {
    "bigint", "bool", "boolean", "date", "decimal", "double", "float", "hugeint", "int", "int4", "int8",
    "integer", "numeric", "real", "smallint", "text", "timestamp", "tinyint", "varchar",
}  # fmt: skip
_PATTERNED: Final = {
    "~~", "!~~", "~~*", "!~~*", "like_escape", "not_like_escape", "ilike_escape", "not_ilike_escape",
    "contains", "starts_with", "ends_with", "prefix", "suffix", "position", "strpos", "instr",
}  # fmt: skip
"""Functions whose second argument is looked for in a text."""

_FUNCTIONS: Final = _PATTERNED | {
    "+", "-", "*", "/", "//", "%", "**", "^", "abs", "ceil", "ceiling", "floor", "round", "trunc", "sign",
    "sqrt", "exp", "ln", "log", "log2", "log10", "pow", "power", "mod", "greatest", "least", "sin", "cos",
    "tan", "asin", "acos", "atan", "atan2", "radians", "degrees", "pi", "isnan", "isfinite", "lower",
    "upper", "lcase", "ucase", "length", "len", "strlen", "trim", "ltrim", "rtrim", "left", "right",
    "substring", "substr", "reverse", "year", "month", "day", "hour", "minute", "second", "quarter",
    "week", "dayofweek", "isodow", "dayofyear", "date_part", "datepart", "date_trunc", "datetrunc",
    "monthname", "dayname", "epoch", "nullif", "ifnull", "if",
}  # fmt: skip
"""Functions of one row's values whose results are no longer than their arguments."""

_WORDS: Final = {
    "SUBQUERY": "SELECT",
    "STAR": "*",
    "LAMBDA": "a lambda",
    "PARAMETER": "a parameter",
    "POSITIONAL_REFERENCE": "a position",
    "DEFAULT": "DEFAULT",
    "COLLATE": "COLLATE",
}
_LOCATIONS: Final = frozenset({"query_location", "query_location_length"})


def query_of(condition: str, names: Mapping[str, str], run: Callable[[str, str], Any]) -> str:
    """Return the statement that finds the rows for which a condition holds.

    Args:
        condition: one boolean expression over the columns.
        names: the engine's name of each column.
        run: evaluates an SQL expression with one text as its parameter.
    Raises:
        OptionError: it is no such expression, or has something in it that no condition may have; the message names it.
    """
    if not condition.strip():
        raise OptionError('where is empty; give a condition, such as "width > 2000"')
    if len(condition) > LONGEST:
        raise OptionError(f"where has {len(condition):,} characters, at most {LONGEST:,} are read")
    if sum(condition.count(bracket) for bracket in "([{") > MOST_BRACKETS:
        raise _no_condition(f"it has more than {MOST_BRACKETS} brackets")
    if "\0" in condition or not _is_text(condition):
        raise OptionError("where has a NUL or half a character in it")
    try:
        frame, tree = _parsed("(true)", run), _parsed(f"(\n{condition}\n)", run)
        node = tree["statements"][0]["node"]
        found = _checked(node["where_clause"], names)
        for whole in (frame, tree):
            whole["statements"][0]["node"]["where_clause"] = None
        if _without_places(frame) != _without_places(tree):
            raise _no_condition("it must be one condition alone, and nothing behind it")
        _parsed(condition, run)  # whose own brackets must be whole: those around it close none of its
        node["where_clause"] = found
        return str(run("json_deserialize_sql(?)", json.dumps(tree)))
    except RecursionError as error:
        raise _no_condition("it is nested too deeply") from error
    except (KeyError, TypeError, IndexError) as error:
        raise _no_condition("it is none that can be read") from error


def _parsed(condition: str, run: Callable[[str, str], Any]) -> Any:
    # Lines end before the closing bracket: a comment at the end of the condition does not take it away.
    text = f"SELECT {ROW_ID} FROM {ROWS} WHERE {condition}"  # noqa: S608 - it is parsed, not run
    tree = json.loads(run("json_serialize_sql(?)", text))
    if tree["error"]:
        line = _first_line(str(tree.get("error_message", "")))
        raise _no_condition("it is nested too deeply" if "depth limit" in line else line)
    if len(tree["statements"]) != 1:
        raise _no_condition("it must be one condition alone, and nothing behind it")
    return tree


def _checked(node: Any, names: Mapping[str, str]) -> Any:
    """Check a node and all below it, and give columns the engine's names."""
    if isinstance(node, list):
        return [_checked(child, names) for child in node]
    if not isinstance(node, dict):
        return node
    kind = node.get("class")
    if kind == "COLUMN_REF":
        return node | {"column_names": [_column(node["column_names"], names)], "alias": ""}
    if kind is not None:
        _require(node, str(kind))
    return {name: _checked(child, names) for name, child in node.items()}


def _require(node: Mapping[str, Any], kind: str) -> None:
    if node.get("alias"):
        raise _not_allowed(f"the name {node['alias']}")
    if kind == "FUNCTION":
        _require_function(node)
    elif kind == "OPERATOR":
        if node["type"] not in _OPERATORS:
            raise _not_allowed(str(node["type"]).removeprefix("OPERATOR_").replace("_", " "))
    elif kind == "TYPE":
        if str(node["type_name"]).lower() not in _TYPES or node.get("schema") or node.get("catalog"):
            raise _not_allowed(f"the type {node['type_name']}")
    elif kind == "WINDOW":
        raise _not_allowed(f"OVER ({node.get('function_name', 'a window')})")
    elif kind not in (*_PLAIN, "CAST"):
        raise _not_allowed(_WORDS.get(kind, kind.replace("_", " ").lower()))


def _require_function(node: Mapping[str, Any]) -> None:
    name = str(node["function_name"]).lower()
    plain = not (node.get("schema") or node.get("catalog") or node.get("distinct") or node.get("filter"))
    if name not in _FUNCTIONS or not plain:
        raise _not_allowed(f"the function {node['function_name']}")
    if (node.get("order_bys") or {}).get("orders"):
        raise _not_allowed("ORDER BY")
    if name not in _PATTERNED:
        return
    for pattern in list(_arguments(node))[1:]:
        if pattern.get("class") != "CONSTANT":
            raise OptionError(
                f"where: what {_shown(name)} looks for must be a text in 'single quotes', not an expression"
            )
        if len(json.dumps(pattern, ensure_ascii=False)) > LONGEST_PATTERN + 200:
            raise OptionError(f"where: a pattern may have {LONGEST_PATTERN} characters")


def _arguments(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for argument in node["arguments"]:
        yield argument["expression"]


def _shown(function: str) -> str:
    likes = {"~~": "LIKE", "!~~": "NOT LIKE", "~~*": "ILIKE", "!~~*": "NOT ILIKE"}
    return likes.get(function, "LIKE" if "like" in function else function)


def _column(given: list[str], names: Mapping[str, str]) -> str:
    """Return the engine's name of a column; capital letters matter only where two names differ in nothing else."""
    name = ".".join(given)
    if name in names:
        return names[name]
    alike = [known for known in names if known.casefold() == name.casefold()]
    if len(alike) == 1:
        return names[alike[0]]
    if alike:
        raise OptionError(f"where: {name} is one of {', '.join(alike)}; write it in double quotes")
    if not names:
        raise OptionError(f"where: there is no column {name}: the collection has none")
    known = sorted(names)
    more = f" and {len(known) - _NAMED:,} more" if len(known) > _NAMED else ""
    raise OptionError(
        f"where: there is no column {name:.80}; there are {', '.join(known[:_NAMED])}{more}. Texts stand in 'single quotes'"
    )


def _without_places(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_places(child) for child in node]
    if isinstance(node, dict):
        return {name: _without_places(child) for name, child in node.items() if name not in _LOCATIONS}
    return node


def _no_condition(why: str) -> OptionError:
    return OptionError(f"where is no condition over columns: {why}")


def _not_allowed(word: str) -> OptionError:
    return OptionError(f"where: {word:.80} is not allowed in a condition")


def _first_line(message: str) -> str:
    return message.strip().partition("\n")[0] or "it cannot be read"


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
