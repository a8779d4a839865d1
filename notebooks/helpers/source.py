"""The source of a helper, shown where a chapter teaches it, so that it is written only once."""

import ast
import inspect
from collections.abc import Callable

from IPython.display import Markdown, display


def show_source(*things: Callable) -> None:
    """Display the code of functions or classes as it runs here, without their docstrings."""
    for thing in things:
        source = inspect.getsource(inspect.unwrap(thing))
        lines = source.splitlines()
        kinds = ast.ClassDef | ast.FunctionDef
        nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]
        for node in sorted(nodes, key=lambda node: -node.body[0].lineno):  # from the end
            if ast.get_docstring(node):
                text = node.body[0]
                end = text.end_lineno
                end += end < len(lines) and not lines[end].strip()  # and the empty line after it
                del lines[text.lineno - 1 : end]
        display(Markdown("```python\n" + "\n".join(lines).strip() + "\n```"))
