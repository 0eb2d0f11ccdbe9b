"""Writes small GGUF models with random weights, so that the recorder can be tested anywhere.

Every byte is a token of its own behind a begin-of-sequence token, so a prompt's tokens are known:
decode_tokens() and encode() are each other's inverse.
"""
import struct

import numpy as np

ALIGNMENT = 32
BOS = 1
FIRST_BYTE = 3  # tokens 0, 1, 2 are unknown, begin and end
SPACE = FIRST_BYTE + 256  # this kind of tokenizer turns spaces into the character U+2581
VOCABULARY = SPACE + 1

UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
VALUE_TYPES = {bool: BOOL, int: UINT32, np.int32: INT32, float: FLOAT32, str: STRING}
PACKED = {BOOL: "<?", UINT32: "<I", INT32: "<i", FLOAT32: "<f"}

SHAPE = {
    "block_count": 4,
    "context_length": 4096,
    "embedding_length": 96,
    "feed_forward_length": 64,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
    "attention.key_length": 32,
    "attention.value_length": 32,
    "attention.layer_norm_rms_epsilon": 1e-6,
    "rope.dimension_count": 32,
    "rope.freq_base": 10000.0,
}


def _string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value, kind):
    return _string(value) if kind == STRING else struct.pack(PACKED[kind], value)


def _entry(key, value):
    if isinstance(value, list):
        kind = VALUE_TYPES[type(value[0])]
        head = struct.pack("<IIQ", ARRAY, kind, len(value))
        return _string(key) + head + b"".join(_value(item, kind) for item in value)
    kind = VALUE_TYPES[type(value)]
    return _string(key) + struct.pack("<I", kind) + _value(value, kind)


def _tokenizer():
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    tokens.append("\u2581")
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [0.0] * len(tokens),
        "tokenizer.ggml.token_type": [np.int32(kind) for kind in [2, 3, 3] + [6] * 256 + [1]],
        "tokenizer.ggml.bos_token_id": BOS,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.add_space_prefix": False,
    }


def _weights(architecture, shape, rng):
    width, heads = shape["embedding_length"], shape["attention.head_count"]
    kv_heads, size = shape["attention.head_count_kv"], shape["attention.key_length"]
    hidden = shape["feed_forward_length"]

    def matrix(rows, columns, gain=1.0):
        return rng.normal(0.0, gain / np.sqrt(columns), (rows, columns))

    def near_one(count):
        return rng.uniform(0.5, 1.5, count)

    weights = {"token_embd.weight": rng.normal(0.0, 1.0, (VOCABULARY, width)),
               "output_norm.weight": near_one(width)}
    for layer in range(shape["block_count"]):
        block = {
            "attn_norm.weight": near_one(width),
            "attn_q.weight": matrix(heads * size, width, 1.5),
            "attn_k.weight": matrix(kv_heads * size, width, 1.5),
            "attn_v.weight": matrix(kv_heads * size, width),
            "attn_output.weight": matrix(width, heads * size),
            "ffn_norm.weight": near_one(width),
            "ffn_gate.weight": matrix(hidden, width),
            "ffn_up.weight": matrix(hidden, width),
            "ffn_down.weight": matrix(width, hidden),
        }
        if architecture == "qwen2":
            block["attn_q.bias"] = rng.normal(0.0, 0.5, heads * size)
            block["attn_k.bias"] = rng.normal(0.0, 0.5, kv_heads * size)
            block["attn_v.bias"] = rng.normal(0.0, 0.5, kv_heads * size)
        if architecture in ("qwen3", "gemma3"):
            block["attn_q_norm.weight"] = near_one(size)
            block["attn_k_norm.weight"] = near_one(size)
        if architecture == "gemma3":
            block["post_attention_norm.weight"] = near_one(width)
            block["post_ffw_norm.weight"] = near_one(width)
        weights.update({f"blk.{layer}.{name}": values for name, values in block.items()})
    return weights


def write_tiny_gguf(path, architecture, tensors=None, metadata=None, **shape):
    """Writes a model and returns its weights by name, [outputs, inputs] each, in fp32.

    `shape` overrides entries of SHAPE; `metadata` adds keys (those starting with a dot get the
    architecture in front); `tensors` adds tensors.
    """
    shape = {**SHAPE, **shape}
    weights = _weights(architecture, shape, np.random.default_rng(7))
    weights.update(tensors or {})
    weights = {name: np.asarray(values, np.float32) for name, values in weights.items()}
    keys = {"general.architecture": architecture, "general.name": "tiny " + architecture}
    keys.update({f"{architecture}.{key}": value for key, value in shape.items()})
    keys.update(_tokenizer())
    for key, value in (metadata or {}).items():
        keys[architecture + key if key.startswith(".") else key] = value

    head = [b"GGUF", struct.pack("<IQQ", 3, len(weights), len(keys))]
    head += [_entry(key, value) for key, value in keys.items()]
    data, offset = [], 0
    for name, values in weights.items():
        head.append(_string(name) + struct.pack("<I", values.ndim))
        head.append(struct.pack(f"<{values.ndim}Q", *reversed(values.shape)))  # fastest first
        head.append(struct.pack("<IQ", 0, offset))  # type 0 is F32
        padding = -values.nbytes % ALIGNMENT
        data.append(values.tobytes() + b"\0" * padding)
        offset += values.nbytes + padding
    head = b"".join(head)
    with open(path, "wb") as file:
        file.write(head + b"\0" * (-len(head) % ALIGNMENT) + b"".join(data))
    return weights


def encode(text):
    """The tokens of `text` in these models."""
    return [BOS] + [SPACE if byte == 0x20 else FIRST_BYTE + byte for byte in text.encode()]


def decode_tokens(tokens):
    """The text of tokens as encode() makes them."""
    assert tokens[0] == BOS
    return bytes(0x20 if token == SPACE else token - FIRST_BYTE for token in tokens[1:]).decode()
