"""CRC-16/X-25 against its published check value and an independent bitwise implementation."""

from hypothesis import given
from hypothesis import strategies as st

from drivers.ft.crc import crc16_x25, x25_holds


def bitwise(data: bytes) -> int:
    """The definition, bit by bit: reflected polynomial 0x8408, start and final XOR 0xFFFF."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8408 if crc & 1 else crc >> 1
    return crc ^ 0xFFFF


def test_published_check_value() -> None:
    """The catalogue's check value for CRC-16/IBM-SDLC."""
    assert crc16_x25(b"123456789") == 0x906E


def test_known_short_messages() -> None:
    """Empty message and one zero byte, worked out from the definition by hand."""
    assert crc16_x25(b"") == 0x0000
    assert crc16_x25(b"\x00") == 0xF078


@given(st.binary(max_size=80))
def test_agrees_with_the_definition(data: bytes) -> None:
    assert crc16_x25(data) == bitwise(data)


@given(st.binary(max_size=80), st.integers(1, 0xFFFF))
def test_residue_accepts_exactly_the_right_crc(data: bytes, error: int) -> None:
    crc = crc16_x25(data)
    assert x25_holds(data + crc.to_bytes(2, "little"))
    assert not x25_holds(data + (crc ^ error).to_bytes(2, "little"))
