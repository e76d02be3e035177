"""Text that UTF-8 can hold."""


def is_text(value: str) -> bool:
    """Tell whether there is no lone surrogate in it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_text(value: str) -> str:
    """Return what UTF-8 can hold: surrogate pairs are joined, a lone surrogate becomes U+FFFD."""
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
