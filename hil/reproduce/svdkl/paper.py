"""The numbers that the SVDKL paper prints, for the tables beside ours.

They are of other recordings, another robot's motions and (for pick and place) another simulation than ours: to be
compared is the order of the models and their ratio, not the size of the numbers.
"""

from __future__ import annotations

RMSE = {
    "KUKA SIM": {"dkl": 0.387, "svgp": 0.838, "svdkl": 0.397, "lstm": 0.248},
    "KUKA REAL": {"dkl": 0.829, "svgp": 1.412, "svdkl": 0.852, "lstm": 0.654},
}
"""Table I: average RMSE over joints, N·m."""
SAMPLES = {"KUKA SIM": (330_000, 90_000, 80_000), "KUKA REAL": (386_310, 96_580, 75_490)}
"""To train, to validate, to test."""
EE_RMSE = {
    "cube": {"svdkl": 0.00869, "svgp": 0.0170},
    "random": {"svdkl": 0.366, "svgp": 0.784},
    "mirrored": {"svdkl": 0.0148, "svgp": 0.102},
}
"""Table II: error of the end effector by task, as printed, m."""
GAIN_REDUCTION = 0.1854
"""Of all joints, for objects of random shape after a warm start of 50 trajectories: 1 − mean(KP)/Kmax."""

CAVEATS = (
    "Other data. The paper learns from 330,000 (KUKA SIM) and 386,310 (KUKA REAL) samples that are not here. Ours are "
    "rhythmic motions of a simulated iiwa, 80,000 samples of 320 motions in the full campaign, and recordings of other "
    "arms. Compare the order of the models and their ratio, not sizes.",
    "Units. The public KUKA text files hold torques divided by 50 70 20 20 4 4 2 N·m (simulated) or 40 40 20 20 4 4 2 "
    "N·m (real). Its errors are taken as N·m, as it says; in the units of the files they would mean 2 to 70 times as "
    "much, by joint. Its table has one average over joints, in which the first two decide nearly everything.",
    "Splits. Here whole motions are left out. Samples of one motion dealt at random have all but copies of the test "
    "among what was learnt; that is common in the literature and probably how the paper's numbers came about. One "
    "section shows what it does here.",
    "DKL. A deep kernel with KISS-GP takes seconds an iteration: it is trained on a subset that each row names. Its "
    "affordable stand-in, features of SVDKL trained by the collapsed bound of sparse regression (SGPR), stands beside "
    "it as what it is. Neither is the paper's DKL on all of its data.",
    "Times are processor time of one core of this machine, closed-form steps included; the paper's are of its own "
    "machine. Compare how they grow.",
    "Noise. Our simulated torques have sensor noise, and no model can be better than that on them.",
    "The gain law (8) goes by the predicted deviation alone, which depends on inputs only: it tells new motions from "
    "old ones and does not notice changed dynamics, such as a grasped load. With C = 1, as an exponential of a number "
    "between 0 and 1 invites, gains never pass 63 % of their range; here C is 3. Its ζ in KD = ζ sqrt(KP) has a unit, "
    "sqrt(kg·m²).",
    "Online learning. The paper trains on each batch of 100 by gradient. Under the paper's law here each is learnt in "
    "closed form with a short memory, without our guard, which would refuse an unknown load; on recorded batches that "
    "predicts the next one about as well as gradient steps do (docs/dynamics.md), but keeps nothing from trip to trip.",
    "Objects of random shape are PyBullet's meshes in solid tungsten, 2 to 3.5 kg. The paper's masses are unknown.",
    "Its equation (3) prints the distance in the kernel without a square; that is taken for a misprint.",
)  # fmt: skip
"""To be read before any comparison."""
