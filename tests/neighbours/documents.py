"""The examples in the documents, as readers would take them."""

import re
from pathlib import Path
from typing import Any, Final

CHECKOUT: Final = Path(__file__).parents[2]
_PYTHON: Final = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def python_example(document: str, part: str) -> dict[str, Any]:
    """Run the one Python example of *document* that has *part* in it; return what it defines."""
    examples = _PYTHON.findall((CHECKOUT / document).read_text())
    [example] = [example for example in examples if part in example]
    defined: dict[str, Any] = {}
    exec(example, defined)
    return defined
