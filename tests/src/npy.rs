//! Arrays as NumPy writes them.

/// A `.npy` file of elements of this type, as `<f4`, in C order: `bytes` are the elements.
#[must_use]
pub fn npy(descr: &str, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    let tuple: Vec<String> = shape.iter().map(ToString::to_string).collect();
    let shape = tuple.join(", ");
    let mut head =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape},), }}").into_bytes();
    head.resize((head.len() + 11).next_multiple_of(64) - 11, b' ');
    head.push(b'\n');
    [&b"\x93NUMPY\x01\0"[..], &(head.len() as u16).to_le_bytes(), &head, bytes].concat()
}
