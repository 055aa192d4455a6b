"""What the operator's code really uses of its own classes: attributes read and written, members of enums named.

Used by `tests/unit/test_unused.py`. mypy tells the type of whatever an attribute is read from; names alone would not do:
`timeout` is a field of four specs, and one that is ignored looks used. Third-party packages are left out, so that it takes
seconds: what comes from them is of type Any, and reading an attribute of Any counts for nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from pathlib import Path

from mypy import nodes, types
from mypy.build import build
from mypy.find_sources import create_source_list
from mypy.options import Options
from mypy.plugin import AttributeContext, FunctionContext, MethodContext, Plugin


@dataclass(frozen=True)
class Place:
    """Where something is used: a file, and a function in it (empty: none)."""

    path: str
    function: str


@dataclass
class Usage:
    """What was found, by full names such as `flinkjob.api.policies_spec.UpgradeSpec.timeout`.

    Attributes:
        classes: the attributes that each class declares itself; only the members, where it is an enum.
        types: the classes in the declared types of these attributes, by class.
        bases: the full names of all classes that a class is derived from.
        reads: where an attribute is read, or an enum's member named.
        compared: where an enum's member is only compared with, or a key of a table; never in `reads` too.
        writes: where an attribute is assigned, or given to the constructor or to `replace`.
        made: enums whose members are made from texts: `DesiredState(text)`.
    """

    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    types: dict[str, frozenset[str]] = field(default_factory=dict)
    bases: dict[str, frozenset[str]] = field(default_factory=dict)
    reads: dict[str, set[Place]] = field(default_factory=dict)
    compared: dict[str, set[Place]] = field(default_factory=dict)
    writes: dict[str, set[Place]] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)

    def derived_from(self, base: str) -> list[str]:
        """The classes below another one."""
        return sorted(name for name, bases in self.bases.items() if base in bases)


def analyse(roots: Sequence[Path], changes: Mapping[str, str]) -> Usage:
    """Read the usage out of the packages in these directories.

    Args:
        changes: methods whose keyword arguments are fields of a class that they change, and that class.

    Raises:
        mypy.errors.CompileError: the code cannot be read.
    """
    options = Options()
    options.incremental = False
    options.mypy_path = [str(root.parent) for root in roots]
    options.explicit_package_bases = options.namespace_packages = True
    options.ignore_missing_imports = True
    options.python_executable = None  # third-party packages are not looked for
    sources = create_source_list([str(root) for root in roots], options)
    recorder = _Recorder(options, changes)
    result = build(sources, options, extra_plugins=[recorder])
    for source in sources:
        recorder.declare(result.files[source.module].names, source.module)
    return recorder.usage


class _Recorder(Plugin):
    """Listens to mypy while it looks at every attribute and call."""

    def __init__(self, options: Options, changes: Mapping[str, str]) -> None:
        super().__init__(options)
        self.usage = Usage()
        self._changes = changes
        self._files: dict[str, _File] = {}

    def declare(self, names: nodes.SymbolTable, module: str) -> None:
        """Note the classes of a module, those within classes too."""
        for symbol in names.values():
            info = symbol.node
            if (
                isinstance(info, nodes.TypeInfo)
                and info.module_name == module
                and info.fullname not in self.usage.classes
            ):
                self.usage.classes[info.fullname] = names_there = tuple(_own_attributes(info))
                self.usage.types[info.fullname] = frozenset(_types_of(info, names_there))
                self.usage.bases[info.fullname] = frozenset(base.fullname for base in info.mro[1:])
                self.declare(info.names, module)

    # what mypy calls

    def get_attribute_hook(self, fullname: str) -> Callable[[AttributeContext], types.Type] | None:
        return partial(self._attribute, fullname.rpartition(".")[2])

    def get_class_attribute_hook(self, fullname: str) -> Callable[[AttributeContext], types.Type] | None:
        return partial(self._class_attribute, fullname)

    def get_function_hook(self, fullname: str) -> Callable[[FunctionContext], types.Type] | None:
        return partial(self._call, fullname)

    def get_method_hook(self, fullname: str) -> Callable[[MethodContext], types.Type] | None:
        return partial(self._change, self._changes[fullname]) if fullname in self._changes else None

    # what is noted

    def _attribute(self, name: str, context: AttributeContext) -> types.Type:
        owner = types.get_proper_type(context.type)
        if isinstance(owner, types.TupleType):
            owner = owner.partial_fallback
        if isinstance(owner, types.Instance):
            use = self._file(context).attributes.get(_position(context.context))
            if use is not None:
                self._note(self.usage.writes if use is _Use.WRITE else self.usage.reads, owner.type, name, context)
        return context.default_attr_type

    def _class_attribute(self, fullname: str, context: AttributeContext) -> types.Type:
        use = self._file(context).attributes.get(_position(context.context))
        if use is not None:
            uses = self.usage.compared if use is _Use.COMPARE else self.usage.reads
            uses.setdefault(fullname, set()).add(self._place(context))
        return context.default_attr_type

    def _call(self, fullname: str, context: FunctionContext) -> types.Type:
        made = types.get_proper_type(context.default_return_type)
        if fullname == "dataclasses.replace":
            changed = types.get_proper_type(context.arg_types[0][0])
            self._write(changed, _keywords(context), context)
        elif isinstance(made, types.Instance) and made.type.fullname == fullname:
            if made.type.is_enum:
                self.usage.made.add(fullname)
            given = [name for name, values in zip(context.callee_arg_names, context.args, strict=True) if values]
            self._write(made, [*_keywords(context), *filter(None, given)], context)
        return context.default_return_type

    def _change(self, changed: str, context: MethodContext) -> types.Type:
        for name in _keywords(context):
            self.usage.writes.setdefault(f"{changed}.{name}", set()).add(self._place(context))
        return context.default_return_type

    def _write(self, changed: types.Type, names: Iterable[str], context: FunctionContext) -> None:
        if isinstance(changed, types.Instance):
            for name in names:
                self._note(self.usage.writes, changed.type, name, context)

    def _note(self, uses: dict[str, set[Place]], info: nodes.TypeInfo, name: str, context: _Context) -> None:
        for owner in info.mro:
            if name in owner.names:
                uses.setdefault(f"{owner.fullname}.{name}", set()).add(self._place(context))
                return

    def _file(self, context: _Context) -> _File:
        path = context.api.path
        if path not in self._files:
            self._files[path] = _File(path)
        return self._files[path]

    def _place(self, context: _Context) -> Place:
        file = self._file(context)
        return Place(file.path, file.function_at(context.context.line))


_Context = AttributeContext | FunctionContext | MethodContext


class _Use(Enum):
    """How an attribute stands in the text."""

    READ = auto()
    COMPARE = auto()
    WRITE = auto()


class _File:
    """What the text of a file tells: how each attribute is used, and where functions begin and end."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.attributes: dict[_Position, _Use] = {}
        self._functions: list[tuple[int, int, str]] = []
        compared: list[ast.expr | None] = []
        for node in ast.walk(ast.parse(Path(path).read_text())):
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    self._functions.append((node.lineno, node.end_lineno or node.lineno, node.name))
                case ast.Attribute():
                    used = _Use.READ if isinstance(node.ctx, ast.Load) else _Use.WRITE
                    self.attributes[_span(node)] = used
                case ast.Compare():
                    compared += [node.left, *node.comparators]
                case ast.MatchValue():
                    compared.append(node.value)
                case ast.Dict():
                    compared += node.keys
                case _:
                    pass
        for expression in compared:
            for part in expression.elts if isinstance(expression, _GROUPS) else [expression]:
                if isinstance(part, ast.Attribute) and self.attributes[_span(part)] is _Use.READ:
                    self.attributes[_span(part)] = _Use.COMPARE

    def function_at(self, line: int) -> str:
        """The innermost function around a line."""
        around = [each for each in self._functions if each[0] <= line <= each[1]]
        return max(around)[2] if around else ""


_GROUPS = (ast.Tuple, ast.Set, ast.List)
_Position = tuple[int, int, int | None, int | None]


def _span(node: ast.expr) -> _Position:
    return node.lineno, node.col_offset, node.end_lineno, node.end_col_offset


def _position(context: nodes.Context) -> _Position:
    return context.line, context.column, context.end_line, context.end_column


def _keywords(context: FunctionContext | MethodContext) -> list[str]:
    return [name for names in context.arg_names for name in names if name is not None]


def _own_attributes(info: nodes.TypeInfo) -> list[str]:
    if info.is_enum:
        return list(info.enum_members)
    names = [name for name, symbol in info.names.items() if isinstance(symbol.node, nodes.Var)]
    if info.is_named_tuple:
        return [name for name in names if not name.startswith("_") and "-" not in name]
    return [name for name in names if not name.startswith("__")]


def _types_of(info: nodes.TypeInfo, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        node = info.names[name].node
        if isinstance(node, nodes.Var) and node.type is not None:
            yield from _classes_in(node.type)


def _classes_in(declared: types.Type) -> Iterator[str]:
    match types.get_proper_type(declared):
        case types.Instance() as found:
            yield found.type.fullname
            for item in found.args:
                yield from _classes_in(item)
        case types.UnionType() | types.TupleType() as several:
            for item in several.items:
                yield from _classes_in(item)
        case _:
            pass
