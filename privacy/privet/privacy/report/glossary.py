"""The report's terms in plain words."""

GLOSSARY: dict[str, str] = {
    "Differential privacy": (
        "A promise about how something is computed: whatever comes out would have come out "
        "almost as likely if one user's history had been another. It holds whatever else an "
        "adversary knows, and bounds what can be learned; it does not make anyone anonymous."
    ),
    "Epsilon (ε)": (
        "How far the odds of any outcome may shift because of one user, as a factor of e to the "
        "power of epsilon. Smaller is more private: 1 is a factor of 2.7, 5 a factor of 148. "
        "Infinity bounds nothing."
    ),
    "Delta (δ)": (
        "A small allowance by which the bound of epsilon may be missed. It has to be far below "
        "one in the number of users."
    ),
    "Mu (μ)": (
        "The same promise as one number: telling whether a user took part is as hard as telling "
        "two bell curves apart that are mu standard deviations from each other."
    ),
    "Unit of privacy": (
        "What is protected as a whole. Here it is a user with everything in the history, not a "
        "single interaction."
    ),
    "Neighbouring data sets": (
        "The two worlds that the promise compares. Zero-out: one user's history is there or "
        "empty. Replace-one: one user's history is exchanged for any other."
    ),
    "Clip norm": "The length to which a device's vector is cut, so that no user weighs too much.",
    "Noise multiplier": (
        "The noise's standard deviation divided by the clip norm. Planned is what the plan "
        "promised; effective is what those who stayed added, less what colluders know."
    ),
    "Skellam noise": (
        "Whole-number noise, the difference of two Poisson counts. Shares of many devices add "
        "up to noise of the same kind, so that no one needs to be trusted with all of it."
    ),
    "Secure aggregation": (
        "A protocol by which the server learns the sum of the devices' vectors, and no vector."
    ),
    "Accountant": (
        "A program that adds up what all releases of a run cost together. An upper bound is "
        "what a guarantee may rest on; a lower bound shows how much is really leaked at least."
    ),
    "Release": (
        "A noisy sum that the server learns. Each one costs privacy, and is written to the ledger."
    ),
    "Ledger": (
        "A record that is only added to. Each line holds the hash of the one before, so that a "
        "change in the middle shows. Cutting off the end shows only against a head that was "
        "noted elsewhere or signed."
    ),
    "Measured, computed, declared, absent": (
        "Where a figure comes from: observed in this run, derived from other figures, stated by "
        "whoever made the run, or not known."
    ),
}
