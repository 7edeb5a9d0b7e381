"""How modules print: their name, their options and the modules inside them."""

from __future__ import annotations


class ModulePrinting:
    """The part of ``Module`` that prints."""

    def _get_name(self):
        return type(self).__name__

    def extra_repr(self):
        """The text printed inside the parentheses; subclasses define it."""
        return ""

    def __repr__(self):
        extra = self.extra_repr()
        extra_lines = extra.split("\n") if extra else []
        child_lines = []
        for name, module in self._modules.items():
            text = repr(module).replace("\n", "\n  ")
            child_lines.append(f"({name}): {text}")
        if len(extra_lines) == 1 and not child_lines:
            inside = extra_lines[0]
        elif extra_lines or child_lines:
            inside = "\n  " + "\n  ".join(extra_lines + child_lines) + "\n"
        else:
            inside = ""
        return f"{self._get_name()}({inside})"
