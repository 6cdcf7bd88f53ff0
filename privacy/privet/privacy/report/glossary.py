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
        "The same promise as one number: telling the two worlds apart is at least as hard as "
        "telling two bell curves apart that are mu standard deviations from each other. It is "
        "exact for Gaussian noise. For Skellam noise none is proven."
    ),
    "Rho": (
        "The promise of concentrated differential privacy, zCDP: the average loss of privacy is "
        "at most rho, with a tail no heavier than a bell curve's. It adds up over releases. Of "
        "Gaussian noise it is half of mu squared."
    ),
    "Privacy profile": (
        "For every epsilon the smallest delta that is known. All these pairs hold at the same "
        "time; the claim is one of them."
    ),
    "False alarms and finds": (
        "A test is asked whether a user's history is there. Its false positive rate is how often "
        "it says yes when it is not; its true positive rate is how often it says yes when it is. "
        "A test that guesses has two equal rates. Their largest difference is the advantage."
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
