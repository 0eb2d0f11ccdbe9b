#!/usr/bin/env python3
"""Records a KVSieve trace from a decoder of the Hugging Face family.

    pip install torch transformers numpy
    record_hf.py MODEL --prompt prompt.txt --output trace.safetensors
    record_hf.py MODEL --token-ids ids.json --needle "the secret number is 7" --output t.safetensors

The prompt runs through the model, N tokens are decoded greedily after it, and hooks on each
attention layer catch queries and keys before the rotation (and after any query or key norm), the
values, and the attention output before the output projection. Attention runs eagerly, because fused
kernels round differently from the softmax that a replay computes.

Exit codes: 0 written, 2 usage or a model that cannot be recorded, 3 bad input, 4 packages missing,
5 internal, 130 interrupted.
"""

import argparse
import contextlib
import hashlib
import json
import math
import os
import pathlib
import struct
import sys
import traceback

VERSION = "0.1.0"
# Attention of these families is softmax(scale * rope(q) rope(k)) v with half-paired rotation, the
# only thing the trace format can say. A family enters this list with a test.
FAMILIES = ("llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe", "gemma", "gemma2",
            "gemma3_text", "phi3")
DTYPES = ("F16", "BF16", "F32")
ROPE_TYPES = ("default", "linear", "llama3", "yarn")


class Failure(Exception):
    """Something the user can act on: one line, and the exit code that goes with it."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def tell(message):
    print(f"record_hf.py: {message}", file=sys.stderr)


def first_line(error):
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


# ---- options ----

class OneLineParser(argparse.ArgumentParser):
    """Usage errors in one line, as for every other error of this program."""

    def error(self, message):
        raise Failure(2, f"{message} (--help lists the options)")


def count(text):
    value = int(text)
    if value < 0:
        raise ValueError
    return value


def positive(text):
    value = count(text)
    if value == 0:
        raise ValueError
    return value


def queries(text):
    return None if text == "all" else count(text)


def parse_arguments(arguments):
    parser = OneLineParser(prog="record_hf.py", description=__doc__.splitlines()[0])
    parser.add_argument("model", metavar="MODEL", help="a folder, a hub id or a .gguf file")
    prompt = parser.add_mutually_exclusive_group(required=True)
    prompt.add_argument("--prompt", metavar="FILE", help="UTF-8 text, tokenised by the model's own")
    prompt.add_argument("--token-ids", metavar="FILE",
                        help="a JSON list of token ids, to record the same tokens as another tool")
    parser.add_argument("--decode", metavar="N", type=count, default=64,
                        help="tokens to decode greedily (default %(default)s)")
    parser.add_argument("--prompt-queries", metavar="N|all", type=queries, default=128,
                        help="queries of the last N prompt positions (default %(default)s); "
                             "codebook training wants all")
    parser.add_argument("--layers", metavar="LIST", help="such as 0,4,8-11 (default: all)")
    parser.add_argument("--dtype", choices=DTYPES, default="F16",
                        help="number format of the file (default %(default)s)")
    parser.add_argument("--compute", choices=DTYPES, default="F32",
                        help="number format of the model while it runs (default %(default)s); "
                             "16 bits save memory, and a replay agrees less closely")
    parser.add_argument("--device", default="", help="cpu, cuda, cuda:1 or auto (default: cuda "
                        "where there is one, else cpu; auto spreads a model, needs accelerate)")
    parser.add_argument("--chunk", metavar="N", type=positive, default=512,
                        help="prompt tokens a pass; eager attention needs memory for chunk x "
                             "context scores a head (default %(default)s)")
    parser.add_argument("--needle", metavar="TEXT", help="mark the tokens that hold this text")
    parser.add_argument("--output", metavar="FILE", required=True)
    parser.add_argument("--force", action="store_true", help="replace an existing file")
    parser.add_argument("--version", action="version", version=f"record_hf.py {VERSION}")
    return parser.parse_args(arguments)


def parse_layers(text, total):
    """Layer indices of a list such as 0,4,8-11, ascending and each once."""
    if text is None:
        return list(range(total))
    chosen = set()
    for part in text.split(","):
        ends = part.strip().split("-")
        if len(ends) > 2 or not all(end.isascii() and end.isdigit() for end in ends):
            raise Failure(2, f"--layers: '{part}' is neither a layer nor a range such as 8-11")
        first, last = int(ends[0]), int(ends[-1])
        if first > last:
            raise Failure(2, f"--layers: the range {part} runs backwards")
        if last >= total:
            raise Failure(2, f"--layers: no layer {last}; the model has layers 0 to {total - 1}")
        chosen.update(range(first, last + 1))
    return sorted(chosen)


# ---- what the configuration says about the attention ----

def layer_type(config, layer):
    types = getattr(config, "layer_types", None)
    return types[layer] if types else None


def sliding_window(config, layer):
    window = getattr(config, "sliding_window", None)
    # Qwen 2 and 3 keep a window in the file that this switch disables.
    if not window or not getattr(config, "use_sliding_window", True):
        return None
    return window if layer_type(config, layer) in (None, "sliding_attention") else None


def rope_settings(config, layer):
    """The layer's rotary settings in one dictionary, as any generation of the library has them."""
    settings = getattr(config, "rope_parameters", None)
    if settings:
        if all(isinstance(value, (dict, type(None))) for value in settings.values()):
            settings = settings[layer_type(config, layer)]
        return dict(settings)
    # Up to transformers 4: the base frequency beside the scaling, Gemma 3's local one apart.
    partial = {"partial_rotary_factor": getattr(config, "partial_rotary_factor", None) or 1.0}
    local = getattr(config, "rope_local_base_freq", None)
    if local and sliding_window(config, layer):
        return {"rope_theta": local, **partial}
    scaling = getattr(config, "rope_scaling", None) or {}
    return {**scaling, "rope_theta": config.rope_theta, **partial}


def yarn_attention_factor(settings):
    if settings.get("attention_factor") is not None:
        return float(settings["attention_factor"])

    def magnitude(weight):
        return 0.1 * weight * math.log(max(settings["factor"], 1.0)) + 1.0
    above, below = settings.get("mscale"), settings.get("mscale_all_dim")
    return magnitude(above) / magnitude(below) if above and below else magnitude(1.0)


def rope_scaling(kind, settings, context):
    """The trace's form of a scaling, or None for the plain rotation."""
    if kind == "default":
        return None
    if kind == "linear":
        return {"type": kind, "factor": float(settings["factor"])}
    original = settings.get("original_max_position_embeddings") or context
    scaling = {"type": kind, "factor": float(settings["factor"]),
               "original_max_position_embeddings": int(original)}
    if kind == "llama3":
        scaling["low_freq_factor"] = float(settings["low_freq_factor"])
        scaling["high_freq_factor"] = float(settings["high_freq_factor"])
        return scaling
    scaling["beta_fast"] = float(settings.get("beta_fast") or 32)
    scaling["beta_slow"] = float(settings.get("beta_slow") or 1)
    if settings.get("truncate") is False:
        scaling["truncate"] = False
    return scaling


def rope_spec(settings, head_dim, context):
    """The trace's `rope` object for rotary settings in Hugging Face's words."""
    kind = settings.get("rope_type") or settings.get("type") or "default"
    if kind not in ROPE_TYPES:
        raise Failure(2, f"rope type '{kind}' not supported; supported: {', '.join(ROPE_TYPES)}")
    try:
        return {
            "pairing": "half",
            "theta": float(settings["rope_theta"]),
            "dim": int(head_dim * (settings.get("partial_rotary_factor") or 1.0)),
            "scaling": rope_scaling(kind, settings, context),
            "attention_factor": yarn_attention_factor(settings) if kind == "yarn" else 1.0,
        }
    except KeyError as missing:
        raise Failure(3, f"the model's {kind} rope settings lack {missing}") from None


def rope_frequencies(spec):
    """Radians a position for each pair, in double; used to check `spec` against the model."""
    dim, scaling = spec["dim"], spec["scaling"]
    plain = [spec["theta"] ** (-2.0 * i / dim) for i in range(dim // 2)]
    if scaling is None:
        return plain
    factor = scaling["factor"]
    if scaling["type"] == "linear":
        return [value / factor for value in plain]
    original = scaling["original_max_position_embeddings"]
    if scaling["type"] == "llama3":
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        kept = [(original * value / (2 * math.pi) - low) / (high - low) for value in plain]
    else:
        kept = yarn_kept_shares(spec, original)
    kept = [min(max(share, 0.0), 1.0) for share in kept]
    return [value * (share + (1 - share) / factor) for value, share in zip(plain, kept)]


def yarn_kept_shares(spec, original):
    """How much of each frequency YaRN leaves as it is; beyond [0, 1] at both ends."""
    dim, scaling = spec["dim"], spec["scaling"]

    def pair_that_turns(times):
        return dim * math.log(original / (times * 2 * math.pi)) / (2 * math.log(spec["theta"]))
    low, high = pair_that_turns(scaling["beta_fast"]), pair_that_turns(scaling["beta_slow"])
    if scaling.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    # The library widens an empty ramp by the same amount.
    width = high - low or 0.001
    return [1 - (i - low) / width for i in range(dim // 2)]


def difference(base, other):
    """What to merge into `base`, key by key, to get `other`."""
    changed = {}
    for key in {**base, **other}:
        before, after = base.get(key), other.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            after = difference(before, after)
            if after:
                changed[key] = after
        elif before != after:
            changed[key] = after
    return changed


# ---- the model ----

def import_packages():
    """torch and transformers, asked for late so that --help and usage errors work without them."""
    try:
        import numpy  # noqa: F401  (torch hands its numbers over through it)
        import torch
        import transformers
    except ImportError as error:
        raise Failure(4, f"{first_line(error)}; install it with: pip install torch transformers "
                         "numpy") from None
    if "TRANSFORMERS_VERBOSITY" not in os.environ:
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
    return torch, transformers


@contextlib.contextmanager
def loading(what, model):
    """Turns the many ways in which loading can fail into one line."""
    try:
        yield
    except ImportError as error:
        raise Failure(4, f"the {what} of {model} needs a package: {first_line(error)}") from None
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise Failure(3, f"cannot load the {what} of {model}: {first_line(error)}") from None


def source_of(model):
    """Arguments of from_pretrained: a .gguf file is named apart from its folder."""
    path = pathlib.Path(model)
    if path.suffix == ".gguf" and path.is_file():
        return {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    return {"pretrained_model_name_or_path": model}


def load_config(transformers, model):
    with loading("configuration", model):
        config = transformers.AutoConfig.from_pretrained(**source_of(model))
    text = config.get_text_config()
    if text.model_type not in FAMILIES:
        raise Failure(2, f"architecture {text.model_type} not supported; supported: "
                         + ", ".join(FAMILIES))
    return text


def load_model(torch, transformers, options):
    number_format = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32}
    settings = {"attn_implementation": "eager", **source_of(options.model)}
    # Transformers 5 renamed this argument.
    modern = int(transformers.__version__.split(".")[0]) >= 5
    settings["dtype" if modern else "torch_dtype"] = number_format[options.compute]
    if options.device == "auto":
        settings["device_map"] = "auto"
    with loading("weights", options.model):
        model = transformers.AutoModelForCausalLM.from_pretrained(**settings)
        if options.device != "auto":
            cuda = torch.cuda.is_available()
            model = model.to(options.device or ("cuda" if cuda else "cpu"))
    return model.eval()


def find_attentions(model, total):
    """The decoder's attention modules by layer; vision towers name their projections otherwise."""
    found = {}
    for module in model.modules():
        fused = hasattr(module, "qkv_proj")
        if hasattr(module, "o_proj") and (fused or hasattr(module, "q_proj")):
            found[module.layer_idx] = module
    if sorted(found) != list(range(total)):
        raise Failure(2, f"found attention in {len(found)} of {total} layers; this model is built "
                         "in a way that cannot be recorded")
    return [found[layer] for layer in range(total)]


def describe_layers(config, attentions):
    """`rope` and `attention` of every layer, in the trace's words."""
    context = getattr(config, "max_position_embeddings", None)
    # Gemma 3's configuration has the softcap too, but its attention never applies it.
    softcap = config.attn_logit_softcapping if config.model_type == "gemma2" else None
    return [{
        "rope": rope_spec(rope_settings(config, layer), attention.head_dim, context),
        "attention": {"scale": float(attention.scaling), "softcap": softcap,
                      "sliding_window": sliding_window(config, layer)},
    } for layer, attention in enumerate(attentions)]


def describe_model(config, attentions, name):
    layers = describe_layers(config, attentions)
    # Readers that ignore the overrides should at least see what the global layers do.
    base = next((layer for layer in layers if not layer["attention"]["sliding_window"]), layers[0])
    overrides = {str(i): difference(base, layer) for i, layer in enumerate(layers)}
    weight = attentions[0].o_proj.weight
    head_dim = attentions[0].head_dim
    return {
        "name": name,
        "architecture": config.model_type,
        "layers": len(layers),
        "q_heads": weight.shape[1] // head_dim,
        "kv_heads": config.num_key_value_heads,
        "head_dim": head_dim,
        "width": weight.shape[0],
        **base,
        "layer_overrides": {layer: changed for layer, changed in overrides.items() if changed},
    }, layers


# ---- the prompt ----

def read_bytes(path):
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise Failure(3, f"cannot read {path}: {error.strerror}") from None


def load_tokenizer(transformers, options):
    with loading("tokeniser", options.model):
        return transformers.AutoTokenizer.from_pretrained(**source_of(options.model))


def decode_text(path, content):
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Failure(3, f"{path} is not UTF-8 text (byte {error.start})") from None


def parse_token_ids(path, content, vocabulary):
    try:
        ids = json.loads(decode_text(path, content))
    except json.JSONDecodeError as error:
        raise Failure(3, f"{path} is not JSON: {error}") from None
    if not isinstance(ids, list) or not all(type(token) is int for token in ids):
        raise Failure(3, f"{path} must hold a JSON list of whole numbers")
    outside = [token for token in ids if not 0 <= token < vocabulary]
    if outside:
        raise Failure(3, f"{path}: token {outside[0]} is not below the vocabulary's {vocabulary}")
    return ids


def find_needle(decode, ids, text):
    """The tokens [begin, end) that hold `text`.

    Lengths of decoded prefixes locate it, since token ids given by the user have no text to align
    with, and a search in token space would miss a needle that is tokenised together with the
    characters around it.
    """
    whole = decode(ids)
    start = whole.find(text)
    if start < 0:
        raise Failure(3, f"--needle: the prompt does not hold \"{text}\"")
    if whole.find(text, start + 1) >= 0:
        tell("the needle occurs more than once; the first place is marked")

    def shortest_prefix(length):
        low, high = 0, len(ids)
        while low < high:
            middle = (low + high) // 2
            if len(decode(ids[:middle])) >= length:
                high = middle
            else:
                low = middle + 1
        return low
    end = shortest_prefix(start + len(text))
    begin = shortest_prefix(start + 1) - 1
    return {"begin": begin, "end": end, "text": text}


def read_prompt(transformers, options, vocabulary):
    """(token ids, needle or None, SHA-256 of the prompt file)"""
    path = options.prompt or options.token_ids
    content = read_bytes(path)
    needs_tokenizer = options.prompt or options.needle
    tokenizer = load_tokenizer(transformers, options) if needs_tokenizer else None
    if options.prompt:
        ids = tokenizer(decode_text(path, content))["input_ids"]
    else:
        ids = parse_token_ids(path, content, vocabulary)
    if not ids:
        raise Failure(3, f"{path} holds no tokens")
    needle = None
    if options.needle:
        needle = find_needle(
            lambda some: tokenizer.decode(some, clean_up_tokenization_spaces=False),
            ids, options.needle)
    return ids, needle, hashlib.sha256(content).hexdigest()


# ---- recording ----

class LayerRecorder:
    """Collects one layer's rows, already in the file's number format to halve the memory."""

    def __init__(self, torch, layer, attention, shape, spec, recorder):
        self.torch, self.layer, self.attention, self.recorder = torch, layer, attention, recorder
        self.q_heads, self.kv_heads, self.head_dim = shape
        self.spec = spec
        self.rows = {"q": [], "k": [], "v": [], "out": []}
        self.handles = list(self.attach())

    def attach(self):
        attention = self.attention
        yield attention.register_forward_pre_hook(self.check_rotation, with_kwargs=True)
        yield attention.o_proj.register_forward_pre_hook(
            lambda _, inputs: self.keep("out", inputs[0], self.q_heads))
        if hasattr(attention, "qkv_proj"):
            yield attention.qkv_proj.register_forward_hook(
                lambda _, inputs, output: self.keep_fused(output))
            return
        for name, heads in (("q", self.q_heads), ("k", self.kv_heads), ("v", self.kv_heads)):
            projection = getattr(attention, f"{name}_proj")
            yield projection.register_forward_hook(
                lambda _, inputs, output, name=name, heads=heads: self.keep(name, output, heads))

    def detach(self):
        for handle in self.handles:
            handle.remove()

    def keep_fused(self, output):
        widths = [heads * self.head_dim for heads in (self.q_heads, self.kv_heads, self.kv_heads)]
        for name, part in zip("qkv", output.split(widths, dim=-1)):
            self.keep(name, part, part.shape[-1] // self.head_dim)

    def keep(self, name, values, heads):
        rows = values[0].reshape(-1, heads, self.head_dim)
        if name in ("q", "out"):
            rows = rows[max(0, self.recorder.first_query - self.recorder.position):]
        # The norm works on one head's numbers at a time, so applying it here to the same input is
        # exact and does not depend on how the model lays out its heads for it.
        norm = getattr(self.attention, f"{name}_norm", None) if name in ("q", "k") else None
        if norm is not None:
            rows = norm(rows)
        stored = rows.to("cpu", self.recorder.dtype, copy=True)
        if not stored.isfinite().all():
            self.refuse(name, rows)
        self.rows[name].append(stored)

    def refuse(self, name, rows):
        where = f"layer {self.layer}, {name}"
        if rows.isfinite().all():
            raise Failure(3, f"{where}: a number too large for --dtype F16; use BF16 or F32")
        raise Failure(3, f"{where}: the model computed a number that is not finite; "
                         "try --compute F32")

    def check_rotation(self, _, inputs, keywords):
        """Compares the rotation described in the file with the one the layer is about to apply.

        A setting that this program read wrongly would otherwise show only as a bad replay later.
        """
        if self.recorder.position > 0:
            return
        tables = keywords.get("position_embeddings")
        if tables is None:
            raise Failure(4, "this transformers version is too old; install 4.53 or newer")
        torch, half = self.torch, self.spec["dim"] // 2
        frequencies = torch.tensor(rope_frequencies(self.spec), dtype=torch.float64)
        angles = torch.arange(tables[0].shape[1], dtype=torch.float64)[:, None] * frequencies
        apart = max(
            float((table[0, :, :half].cpu().double() - wanted * factor).abs().max())
            for factor in [self.spec["attention_factor"]]
            for table, wanted in zip(tables, (angles.cos(), angles.sin())))
        # Single precision angles of the first positions, or cosines rounded to 16 bits.
        allowed = 1e-3 if tables[0].dtype == torch.float32 else 1e-2
        if tables[0].shape[-1] != self.spec["dim"] or apart > allowed:
            raise Failure(2, f"layer {self.layer} rotates otherwise than its configuration says "
                             f"(difference {apart:.2g}); this model cannot be recorded")

    def tensors(self):
        """(name, [heads, rows, d]) in the file's order; frees what it hands out."""
        for name in ("k", "q", "v"):
            yield name, self.torch.cat(self.rows.pop(name)).transpose(0, 1)
        yield "wo", self.output_weight()
        yield "out", self.torch.cat(self.rows.pop("out")).transpose(0, 1)

    def output_weight(self):
        """[Hq, d, D], so that a layer's output is the sum over heads of out @ wo[head]."""
        weight = self.attention.o_proj.weight
        stored = weight.detach().to("cpu", self.recorder.dtype)
        if not stored.isfinite().all():
            self.refuse("wo", weight)
        return stored.t().reshape(self.q_heads, self.head_dim, -1)


class Recorder:
    """Runs the model over prompt and decode steps, and knows where each pass stands."""

    def __init__(self, torch, model, dtype, first_query):
        self.torch, self.model, self.dtype, self.first_query = torch, model, dtype, first_query
        self.position = 0
        self.cache = None

    def feed(self, ids):
        """Runs one pass over `ids`; returns the most likely next token."""
        device = self.model.get_input_embeddings().weight.device
        output = self.model(input_ids=self.torch.tensor([ids], device=device), use_cache=True,
                            past_key_values=self.cache, logits_to_keep=1)
        self.cache = output.past_key_values
        self.position += len(ids)
        return int(output.logits[0, -1].argmax())

    def run(self, prompt, steps, chunk):
        """Prompt and decoded tokens, the last decoded token fed to the model as well."""
        tokens = list(prompt)
        with self.torch.inference_mode():
            for start in range(0, len(prompt), chunk):
                following = self.feed(prompt[start:start + chunk])
                progress(f"prompt {self.position}/{len(prompt)} tokens")
            for step in range(steps):
                tokens.append(following)
                following = self.feed([following])
                progress(f"decoded {step + 1}/{steps} tokens")
        progress("")
        return tokens


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def end_of_text_ids(model):
    ids = getattr(model.generation_config, "eos_token_id", None)
    return set(ids) if isinstance(ids, (list, tuple)) else {ids}


def remark_end_of_text(model, decoded):
    """Says so where the model had finished before the last step; the steps stay recorded."""
    ends = [i for i, token in enumerate(decoded) if token in end_of_text_ids(model)]
    if not ends or ends[0] + 1 == len(decoded):
        return ""
    tell(f"the model ended its text after {ends[0] + 1} decode steps; later steps follow the end "
         f"(--decode {ends[0] + 1} leaves them out)")
    return f"; text ended after decode step {ends[0] + 1}"


# ---- the file ----

def tensor_bytes(torch, tensor):
    tensor = tensor.contiguous()
    # numpy has no bfloat16; its bits travel as integers.
    return (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy().data


def header_bytes(metadata, entries):
    """The safetensors header for (name, dtype, shape, size), padded so that the data is aligned."""
    header, offset = {"__metadata__": metadata}, 0
    for name, dtype, shape, size in entries:
        end = offset + size
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


@contextlib.contextmanager
def whole_or_not_at_all(path):
    """A binary file that appears under its name only when complete and on the disk."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise Failure(3, f"cannot write {path}: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)


def write_trace(torch, options, document, recorders, positions, tokens):
    """One layer's tensors at a time are laid out and written."""
    model = document["model"]
    q_heads, kv_heads, d = model["q_heads"], model["kv_heads"], model["head_dim"]
    shapes = {"k": (kv_heads, len(tokens), d), "q": (q_heads, len(positions), d),
              "v": (kv_heads, len(tokens), d), "wo": (q_heads, d, model["width"]),
              "out": (q_heads, len(positions), d)}
    width = 4 if options.dtype == "F32" else 2
    entries = [(f"layers.{recorder.layer}.{name}", options.dtype, shape, width * math.prod(shape))
               for recorder in recorders for name, shape in shapes.items()]
    # The positions come last: their odd number of words would unalign what follows.
    entries += [(name, "I32", (len(values),), 4 * len(values))
                for name, values in (("query_positions", positions), ("tokens", tokens))]
    metadata = {"format": "kvsieve.trace", "version": "1",
                "kvsieve": json.dumps(document, separators=(",", ":"))}
    with whole_or_not_at_all(options.output) as file:
        file.write(header_bytes(metadata, entries))
        for recorder in recorders:
            for name, tensor in recorder.tensors():
                if tuple(tensor.shape) != shapes[name]:
                    raise Failure(5, f"layer {recorder.layer}, {name}: shape {list(tensor.shape)} "
                                     f"instead of {list(shapes[name])}")
                file.write(tensor_bytes(torch, tensor))
        for values in (positions, tokens):
            file.write(struct.pack(f"<{len(values)}i", *values))
        return file.tell()


def check_output(options):
    path = pathlib.Path(options.output)
    if path.is_dir() or not path.name:
        raise Failure(2, f"--output {path} is a folder")
    if path.exists() and not options.force:
        raise Failure(2, f"{path} exists; --force replaces it")
    if not path.parent.is_dir():
        raise Failure(2, f"--output: there is no folder {path.parent}")


def record(options):
    check_output(options)
    read_bytes(options.prompt or options.token_ids)
    torch, transformers = import_packages()
    config = load_config(transformers, options.model)
    chosen = parse_layers(options.layers, config.num_hidden_layers)
    for layer in chosen:
        rope_spec(rope_settings(config, layer), 2, config.max_position_embeddings)
    prompt, needle, digest = read_prompt(transformers, options, config.vocab_size)
    if len(prompt) + options.decode > config.max_position_embeddings:
        tell(f"{len(prompt)} prompt tokens and {options.decode} decode steps exceed the model's "
             f"{config.max_position_embeddings} positions")

    model = load_model(torch, transformers, options)
    attentions = find_attentions(model, config.num_hidden_layers)
    name = pathlib.Path(options.model).name if os.path.exists(options.model) else options.model
    description, specs = describe_model(config, attentions, name)
    wanted = len(prompt) if options.prompt_queries is None else options.prompt_queries
    first_query = max(0, len(prompt) - wanted)

    file_format = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32}
    recorder = Recorder(torch, model, file_format[options.dtype], first_query)
    shape = description["q_heads"], description["kv_heads"], description["head_dim"]
    layers = [LayerRecorder(torch, layer, attentions[layer], shape, specs[layer]["rope"], recorder)
              for layer in chosen]
    try:
        tokens = recorder.run(prompt, options.decode, options.chunk)
    finally:
        for layer in layers:
            layer.detach()

    note = (f"transformers {transformers.__version__}, torch {torch.__version__}, eager attention "
            f"in {options.compute}, prompt in chunks of {options.chunk}")
    if attentions[0].o_proj.bias is not None:
        note += "; the output projection's bias is left out"
    note += remark_end_of_text(model, tokens[len(prompt):])
    document = {
        "model": description,
        "captured_layers": chosen,
        "prompt_tokens": len(prompt),
        "decode_tokens": options.decode,
        "dtype": options.dtype,
        "source": {"tool": "record_hf.py", "version": VERSION, "prompt_sha256": digest,
                   "note": note},
        "needle": needle,
    }
    positions = list(range(first_query, len(tokens)))
    size = write_trace(torch, options, document, layers, positions, tokens)
    tell(f"wrote {options.output}: {len(chosen)} layers, {len(prompt)} prompt tokens, "
         f"{options.decode} decode steps, {len(positions)} queries a layer, {size / 1e6:.1f} MB")


def main(arguments=None):
    try:
        record(parse_arguments(arguments))
    except Failure as failure:
        tell(f"error: {failure}")
        return failure.code
    except KeyboardInterrupt:
        tell("interrupted")
        return 130
    except Exception:  # A traceback is what a report of a defect needs.
        traceback.print_exc()
        return 5
    return 0


if __name__ == "__main__":
    sys.exit(main())
