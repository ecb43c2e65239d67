"""Writes samples.tar, three samples as WebDataset keeps them, one by each of the formats that Python's tarfile writes; and stored.npz."""
import io, tarfile
import numpy as np

def member(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))

def array(n):
    out = io.BytesIO()
    np.save(out, (np.arange(12, dtype='<f4') + n).reshape(3, 4))
    return out.getvalue()

whole = b''
for n, (kind, folder) in enumerate([(tarfile.USTAR_FORMAT, 'a'), (tarfile.GNU_FORMAT, 'b' * 120), (tarfile.PAX_FORMAT, 'ü' * 60)]):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=kind) as tar:
        member(tar, f'{folder}/{n:04}.latent.npy', array(n))
        member(tar, f'{folder}/{n:04}.json', b'{}')
    # Without the blocks of zeros at its end, but for the last.
    whole += out.getvalue().rstrip(b'\0')
    whole += b'\0' * (-len(whole) % 512)
open('samples.tar', 'wb').write(whole + b'\0' * 1024)
np.savez('stored.npz', latent=np.arange(24, dtype='<f4').reshape(2, 3, 4), cls=np.arange(5, dtype='<f2'))
