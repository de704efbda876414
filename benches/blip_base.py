"""BLIP-base at full size with random weights: the same tokens as transformers, and how much faster.

    python3 -m venv .venv && .venv/bin/pip install torch==2.10.0 transformers==5.2.0 pillow safetensors
    .venv/bin/python benches/blip_base.py FOLDER [ROUNDS]

FOLDER gets the model (0.9 GB) on the first run. Both stacks run in turn in one run, on the threads of THREADS (default 2):
prompt, 3 beams, 20 new tokens, repetition penalty 1.2, and greedy with 10 tokens. Our encoder's time includes the
decoder's keys and values of the picture. Random weights cost what trained ones
cost; only the sentences mean nothing. Quote the ratios: both sides share the machine and its noise.
"""
import json, os, pathlib, statistics, subprocess, sys, time

THREADS = os.environ.get("THREADS", "2")
PROMPT = {"describe": 6235, "only": 2069, "what": 2054, "is": 2003, "visually": 17227, "present": 2556, "in": 1999, "this": 2023, "image": 3746, ".": 1012}
SPECIAL = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103, "[DEC]": 30522, "[ENC]": 30523}
VOCABULARY = 30524


def make(folder):
    import torch
    from safetensors.torch import save_file
    from transformers import BlipConfig, BlipForConditionalGeneration, BlipTextConfig, BlipVisionConfig

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    text = BlipTextConfig(vocab_size=VOCABULARY, hidden_size=768, encoder_hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, max_position_embeddings=512, bos_token_id=30522, eos_token_id=2, pad_token_id=0, sep_token_id=102, is_decoder=True)
    vision = BlipVisionConfig(image_size=384, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, patch_size=16)
    model = BlipForConditionalGeneration(BlipConfig(text_config=text.to_dict(), vision_config=vision.to_dict())).eval()
    with torch.no_grad():  # wider than the default, so that rounding decides no token
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "position" not in name:
                parameter.normal_(0, 0.05)
    model.save_pretrained(folder, safe_serialization=True)
    save_file({"pixel_values": torch.randn(1, 3, 384, 384, generator=torch.Generator().manual_seed(1))}, folder / "pixels.safetensors")
    # A tokenizer in which the words of the prompt have the ids that BERT gives them, and nothing else has a meaning.
    ids = {i: f"[unused{i}]" for i in range(VOCABULARY)} | {i: word for word, i in (PROMPT | SPECIAL).items()}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, "content": word, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} for word, i in sorted(SPECIAL.items(), key=lambda item: item[1])],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": None,
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {word: i for i, word in ids.items()}},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "preprocessor_config.json").write_text(json.dumps({"size": {"height": 384, "width": 384}}))


def median(run, count):
    run()
    times = []
    for _ in range(count):
        started = time.perf_counter(); run(); times.append(time.perf_counter() - started)
    return statistics.median(times)


def transformers_side(folder):
    import torch
    from safetensors.torch import load_file
    from transformers import BlipForConditionalGeneration

    torch.set_num_threads(int(THREADS))
    model = BlipForConditionalGeneration.from_pretrained(folder).eval()
    pixels = load_file(folder / "pixels.safetensors")["pixel_values"]
    # The processor's form: [CLS] prompt [SEP]; generate() puts [DEC] first and drops the last.
    ids = torch.tensor([[101, *PROMPT.values(), 102]])
    with torch.no_grad():
        contract = lambda: model.generate(pixel_values=pixels, input_ids=ids, max_new_tokens=20, min_new_tokens=20, do_sample=False, num_beams=3, repetition_penalty=1.2)
        greedy = lambda: model.generate(pixel_values=pixels, max_new_tokens=10, min_new_tokens=10, do_sample=False, num_beams=1)
        print(json.dumps({
            "encoder_s": median(lambda: model.vision_model(pixels), 5),
            "contract_s": median(contract, 3), "contract_ids": contract()[0].tolist(),
            "greedy10_s": median(greedy, 3), "greedy10_ids": greedy()[0].tolist(),
        }))


def last_json(command, **environment):
    out = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True).stdout
    return json.loads([line for line in out.splitlines() if line.startswith("{")][-1])


def needed_gflop(width=768, inner=3072, layers=12, seen=577, vocabulary=VOCABULARY, beams=3, new=20):
    """Multiplications and additions that the contract's settings cannot do without, in 1e9."""
    block = 4 * width * width + 2 * width * inner
    encoder = layers * (seen * block + 2 * seen * seen * width) + (seen - 1) * width * width
    cross = layers * seen * 2 * width * width
    prefix, steps = 1 + len(PROMPT), beams * (new - 1)
    rows = (prefix + steps) * layers * (block + 2 * width * width + 2 * seen * width)
    return 2e-9 * (encoder + cross + rows + (1 + steps) * width * vocabulary)


def main():
    if sys.argv[1] == "--transformers":
        return transformers_side(pathlib.Path(sys.argv[2]))
    folder, rounds = pathlib.Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    if not (folder / "tokenizer.json").exists():
        make(folder)
    build = subprocess.run(["cargo", "build", "--release", "--bench", "blip_base", "--message-format=json"], stdout=subprocess.PIPE, text=True, check=True)
    ours_command = [message["executable"] for message in map(json.loads, build.stdout.splitlines()) if message.get("executable")]
    ratios = {(precision, key): [] for precision in ("full", "fast") for key in ("encoder_s", "contract_s", "greedy10_s")}
    for _ in range(rounds):
        ours = last_json(ours_command, BLIP_BASE=str(folder), RAYON_NUM_THREADS=THREADS)
        theirs = last_json([sys.executable, __file__, "--transformers", str(folder)])
        for case in ("contract_ids", "greedy10_ids"):
            assert ours["full"][case] == theirs[case], (case, ours["full"][case], theirs[case])
            same = sum(a == b for a, b in zip(ours["fast"][case], theirs[case]))
            print(f"fast: {same} of {len(theirs[case])} {case} equal")
        for (precision, key), values in ratios.items():
            values.append(theirs[key] / ours[precision][key])
            print(f"{precision} {key:10}  transformers {theirs[key]:6.2f}  ours {ours[precision][key]:6.2f}  {values[-1]:5.2f}×")
        floor = needed_gflop() / ours["matmul_gflops"]
        print(f"plain matrix product {ours['matmul_gflops']:.0f} GFLOP/s: {needed_gflop():.0f} GFLOP would take {floor:.2f} s, full takes {ours['full']['contract_s'] / floor:.2f} times that")
        print(f"loaded in {ours['full']['load_s']:.2f} s, fast in {ours['fast']['load_s']:.2f} s; peak {ours['peak_mb']:.0f} MB")
    for (precision, key), values in ratios.items():
        print(f"{precision} {key:10}  median of {rounds}: {statistics.median(values):.2f}× faster than transformers")


main()
