"""The request to a witness, as c2sp.org/tlog-witness has it."""

import pytest

from audit_log.errors import SealFormatError
from audit_log.seal.add_checkpoint import AddCheckpoint, read_size, size_text

EXAMPLE = """old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

\N{EM DASH} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/\
Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
\N{EM DASH} example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+\
49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
""".encode()


def test_the_example_of_the_specification_is_read_and_written_as_it_is():
    request = AddCheckpoint.parse(EXAMPLE)
    assert request.old_size == 20852014
    assert [len(part) for part in request.proof] == [32] * 4
    assert len(request.note.signatures) == 2
    assert str(request).encode() == EXAMPLE


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (b"old 20852014", b"old 020852014"),
        (b"old 20852014", b"old -1"),
        (b"old 20852014", b"new 20852014"),
        (b"PlRN", b"Pl*N"),
        (b"9temvuZZDDpkaw=", b"9temvuZZDDpkaw"),
        (b"PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=", b"PlRN"),
        (b"\n\nexample", b"\nexample"),
        (b"old", b"\xffold"),
        (
            b"old 20852014\n",
            b"old 20852014\n" + b"PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n" * 60,
        ),
    ],
)
def test_other_texts_are_refused(was, becomes):
    with pytest.raises(SealFormatError):
        AddCheckpoint.parse(EXAMPLE.replace(was, becomes, 1))


def test_a_proof_that_is_too_long_is_not_sent():
    note = AddCheckpoint.parse(EXAMPLE).note
    with pytest.raises(SealFormatError, match="at most 63 hashes, not 64"):
        AddCheckpoint.of(1, [bytes(32)] * 64, note)


def test_the_size_of_a_witness_is_one_line():
    assert read_size(size_text(20852014).encode()) == 20852014
    for wrong in (b"5", b"5\n6\n", b"05\n", b"\n", b""):
        with pytest.raises(SealFormatError):
            read_size(wrong)
