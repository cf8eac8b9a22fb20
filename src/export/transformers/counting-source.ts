/** The module's text that counts what assisted generation did, and its program. */
export const COUNTING_SOURCE = `class Counts:
    """What assisted generation did; drafted and accepted tokens behind an end token or the limit do not count."""

    def __init__(self):
        self.prompts = self.rounds = self.tokens = 0
        self.drafted = []  # by position in the round: rounds that drafted it
        self.evaluated = []  # of them those in which all before it were accepted
        self.accepted = []  # of them those in which it was accepted too

    def add(self, candidates, valid, ended):
        """One round: tokens drafted, and tokens that the text went on with."""
        self.rounds += 1
        self.tokens += len(valid)
        if ended:
            candidates = candidates[: len(valid)]
        for counts in (self.drafted, self.evaluated, self.accepted):
            counts.extend([0] * (len(candidates) - len(counts)))
        standing = True
        for position, token in enumerate(candidates):
            self.drafted[position] += 1
            self.evaluated[position] += standing
            standing = standing and position < len(valid) and token == valid[position]
            self.accepted[position] += standing

    def as_dict(self):
        accepted, evaluated = sum(self.accepted), sum(self.evaluated)
        return {
            "kind": "draftplan/transformers-counts",
            "version": 1,
            "engine_version": transformers.__version__,
            "draft_tokens": DRAFT_TOKENS,
            "prompts": self.prompts,
            "rounds": self.rounds,
            "tokens": self.tokens,
            "drafted": sum(self.drafted),
            "accepted": accepted,
            "evaluated": evaluated,
            "drafted_per_position": self.drafted,
            "evaluated_per_position": self.evaluated,
            "accepted_per_position": self.accepted,
            "acceptance": accepted / evaluated if evaluated else None,
            "accepted_length": self.tokens / self.rounds if self.rounds else None,
        }

    def json(self, **more):
        return json.dumps({**self.as_dict(), **more})


@contextlib.contextmanager
def counting(target):
    """Counts every round of the target's assisted generation; transformers keeps no count of its own."""
    counts = Counts()
    made = target._get_candidate_generator

    def wrapped(*args, **kwargs):
        generator = made(*args, **kwargs)
        config = kwargs["generation_config"]
        ends = config.eos_token_id
        ends = set(ends if isinstance(ends, (list, tuple)) else [] if ends is None else [ends])
        round_ = {}
        get, update = generator.get_candidates, generator.update_candidate_strategy
        counts.prompts += 1

        def get_candidates(input_ids, *more, **named):
            found = get(input_ids, *more, **named)
            round_["from"] = input_ids.shape[1]
            round_["tokens"] = found[0][0, input_ids.shape[1] :].tolist()
            return found

        def update_candidate_strategy(input_ids, *more, **named):
            valid = input_ids[0, round_["from"] :].tolist()
            ended = valid[-1] in ends or input_ids.shape[1] >= config.max_length
            counts.add(round_["tokens"], valid, ended)
            return update(input_ids, *more, **named)

        generator.get_candidates = get_candidates
        generator.update_candidate_strategy = update_candidate_strategy
        return generator

    target._get_candidate_generator = wrapped
    try:
        yield counts
    finally:
        del target._get_candidate_generator


def main():
    parser = argparse.ArgumentParser(description="Decodes prompts with the draft and prints counts as JSON.")
    parser.add_argument("target", help="the target: a folder or a .gguf file")
    parser.add_argument("--prompts", required=True, help="a JSON array of texts, or of lists of token ids")
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--assistant", help="a model to draft with (default: the target's own blocks)")
    parser.add_argument("--quantised", default="dynamic", choices=["dynamic", "rounded", "target"])
    parser.add_argument("--dtype", help="float32, float16 or bfloat16 (default: what the target is stored in)")
    parser.add_argument("--compare", action="store_true", help="decode without the draft too, and count equal outputs")
    options = parser.parse_args()
    with open(options.prompts, encoding="utf-8") as file:
        prompts = json.load(file)
    if options.dtype not in (None, "float32", "float16", "bfloat16"):
        parser.error(f"--dtype {options.dtype}: one of float32, float16, bfloat16")
    target = load(options.target, **dtype_of(options)).eval()
    drafting = drafting_arguments(target, options)
    tokenizer = None
    if any(isinstance(prompt, str) for prompt in prompts):
        tokenizer = transformers.AutoTokenizer.from_pretrained(os.path.dirname(os.path.abspath(__file__)))
    outputs, seconds, plain_seconds, equal = [], 0.0, 0.0, 0
    with counting(target) as counts:
        for prompt in prompts:
            ids = torch.tensor([tokenizer(prompt).input_ids if isinstance(prompt, str) else prompt])
            shared = {"attention_mask": torch.ones_like(ids), "do_sample": False, "max_new_tokens": options.max_new_tokens}
            start = time.perf_counter()
            found = target.generate(ids, **shared, **drafting)[0, ids.shape[1] :].tolist()
            seconds += time.perf_counter() - start
            outputs.append(found)
            if options.compare:
                start = time.perf_counter()
                equal += target.generate(ids, **shared)[0, ids.shape[1] :].tolist() == found
                plain_seconds += time.perf_counter() - start
    more = {"seconds": seconds, "plain_seconds": plain_seconds, "equal_outputs": equal} if options.compare else {"seconds": seconds}
    print(counts.json(**more, outputs=outputs))


def dtype_of(options):
    return {} if options.dtype is None else {"dtype": getattr(torch, options.dtype)}


def drafting_arguments(target, options):
    if NGRAM_TOKENS is not None:
        return {"prompt_lookup_num_tokens": DRAFT_TOKENS, "max_matching_ngram_size": NGRAM_TOKENS}
    if options.assistant is not None or ASSISTANT is not None:
        assistant = load(options.assistant or ASSISTANT, **dtype_of(options)).eval()
        fix_length(assistant)
        return {"assistant_model": assistant}
    return {"assistant_model": build_assistant(target, options.quantised)}


if __name__ == "__main__":
    main()
`;
