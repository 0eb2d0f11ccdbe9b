"""Reads traces with numpy alone and replays their attention in double precision."""
import json
import struct

import numpy as np

NUMPY_TYPES = {"F16": np.float16, "F32": np.float32, "I32": np.int32}


def _merged(base, changes):
    result = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        result[key] = _merged(base[key], value) if both else value
    return result


class TraceReader:
    def __init__(self, path):
        self._data = np.memmap(path, np.uint8, "r")
        size = struct.unpack("<Q", self._data[:8].tobytes())[0]
        self._entries = json.loads(self._data[8:8 + size].tobytes())
        self._begin = 8 + size
        self.metadata = self._entries.pop("__metadata__")
        self.header = json.loads(self.metadata["kvsieve"])
        self.model = self.header["model"]

    def names(self):
        return set(self._entries)

    def dtype(self, name):
        return self._entries[name]["dtype"]

    def tensor(self, name):
        entry = self._entries[name]
        begin, end = entry["data_offsets"]
        data = self._data[self._begin + begin:self._begin + end].tobytes()
        if entry["dtype"] == "BF16":
            bits = np.frombuffer(data, np.uint16).astype(np.uint32) << 16
            values = bits.view(np.float32)
        else:
            values = np.frombuffer(data, NUMPY_TYPES[entry["dtype"]])
        return values.reshape(entry["shape"])

    def layer_spec(self, layer):
        base = {"rope": self.model["rope"], "attention": self.model["attention"]}
        return _merged(base, self.model.get("layer_overrides", {}).get(str(layer), {}))

    def replay_error(self, layer):
        """Relative Frobenius error of softmax(scale rope(q) rope(k)) v against the model's out."""
        spec = self.layer_spec(layer)
        positions = self.tensor("query_positions").astype(np.int64)
        q, k, v, out = (self.tensor(f"layers.{layer}.{part}").astype(np.float64)
                        for part in ("q", "k", "v", "out"))
        keys = np.arange(k.shape[1])
        distance = positions[:, None] - keys[None, :]
        window = spec["attention"]["sliding_window"] or k.shape[1]
        visible = (distance >= 0) & (distance < window)
        k = rotate(k, keys, spec["rope"])
        q = rotate(q, positions, spec["rope"])
        group = q.shape[0] // k.shape[0]
        replayed = np.empty_like(out)
        for head in range(q.shape[0]):
            scores = spec["attention"]["scale"] * q[head] @ k[head // group].T
            scores = np.where(visible, scores, -np.inf)
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            weights /= weights.sum(axis=1, keepdims=True)
            replayed[head] = weights @ v[head // group]
        return np.linalg.norm(replayed - out) / np.linalg.norm(out)


def frequencies(rope):
    dim, theta, scaling = rope["dim"], rope["theta"], rope["scaling"]
    plain = theta ** (-np.arange(0, dim, 2) / dim)
    if scaling is None:
        return plain
    slowed = plain / scaling["factor"]
    if scaling["type"] == "linear":
        return slowed
    context = scaling["original_max_position_embeddings"]
    if scaling["type"] == "llama3":
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        kept = np.clip((context * plain / (2 * np.pi) - low) / (high - low), 0.0, 1.0)
        return kept * plain + (1.0 - kept) * slowed

    def pair_that_turns(turns):
        return dim * np.log(context / (turns * 2 * np.pi)) / (2 * np.log(theta))

    low = max(np.floor(pair_that_turns(scaling["beta_fast"])), 0)
    high = min(np.ceil(pair_that_turns(scaling["beta_slow"])), dim - 1)
    ramp = np.clip((np.arange(dim // 2) - low) / max(high - low, 1e-3), 0.0, 1.0)
    return (1.0 - ramp) * plain + ramp * slowed


def rotate(x, positions, rope):
    angles = positions[:, None] * frequencies(rope)
    cos, sin = (rope["attention_factor"] * f(angles) for f in (np.cos, np.sin))
    half = rope["dim"] // 2
    if rope["pairing"] == "half":
        first, second = slice(0, half), slice(half, 2 * half)
    else:
        first, second = slice(0, 2 * half, 2), slice(1, 2 * half, 2)
    rotated = x.copy()
    rotated[..., first] = x[..., first] * cos - x[..., second] * sin
    rotated[..., second] = x[..., first] * sin + x[..., second] * cos
    return rotated
