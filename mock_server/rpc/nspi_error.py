"""How a method of the address book refuses ([MS-OXNSPI] 2.2.1.2)."""


class NspiError(Exception):
    """A method ends with this return value."""

    def __init__(self, return_value: int) -> None:
        super().__init__(f"0x{return_value:08X}")
        self.return_value = return_value
