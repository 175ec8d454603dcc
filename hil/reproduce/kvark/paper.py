"""The numbers that the paper prints, for the tables beside ours.

"K-VARK: Kernelized Variance-Aware Residual Kalman Filter", its tables and the bars of its figures. They are of another
arm and other motions than ours: to be compared is the order of the methods, not the size of the numbers.
"""

from __future__ import annotations

RESIDUAL_RMSE = {
    "sparse_gp": (1.4445, 3.5483, 1.9966, 0.3256, 0.2424, 0.2350),
    "gmr_gp": (1.5333, 2.7168, 1.4498, 0.3311, 0.2866, 0.2685),
    "kmp": (1.5071, 2.7322, 1.4430, 0.3245, 0.2737, 0.2586),
    "network": (2.1415, 2.812, 1.0622, 0.3045, 0.2476, 0.2405),
}
"""Table III: RMSE of the residual model on its test set, joints 1 to 6, N·m."""
RESIDUAL_MEAN = {"sparse_gp": 1.298, "gmr_gp": 1.097, "kmp": 1.089, "network": 1.134}
"""Fig. 6: the same, mean over joints."""
FREE_LOADED = {"gmr_gp": 1.27, "gpadkf": 1.49, "kvark": 1.18, "nnadkf": 1.47}
"""Fig. 8: mean joint RMSE, free against loaded, N·m. Which bar is whose is read from its text."""
CONTACT_JOINTS = {
    "gmr_gp": (2.333, 6.146, 6.983, 2.396, 1.001, 0.621),
    "kvark": (2.348, 5.800, 6.906, 2.388, 1.007, 0.627),
    "gpadkf": (2.201, 8.250, 7.347, 2.467, 1.006, 0.583),
    "nnadkf": (1.691, 8.932, 6.806, 2.836, 0.984, 0.856),
}
"""Table IV: RMSE in contact, joints 1 to 6, N·m."""
CONTACT_WRENCH = {
    "gmr_gp": (3.341, 10.955, 10.359, 1.520, 1.033, 0.621),
    "kvark": (2.992, 10.322, 10.152, 1.436, 1.000, 0.627),
    "gpadkf": (3.691, 9.772, 12.762, 1.580, 1.073, 0.583),
    "nnadkf": (4.147, 15.808, 11.127, 2.621, 1.284, 0.846),
}
"""Table IV: Fx, Fy, Fz in N, Mx, My, Mz in N·m."""
CONTACT_MIXED = {"gmr_gp": 4.638, "kvark": 4.422, "gpadkf": 4.910, "nnadkf": 5.972}
"""Table IV: what it calls the average of the six, N and N·m added up; said to be a norm, in fact an arithmetic mean."""
TIMES_MS = (3.12, 1.01, 0.75, 2.2)
"""Fig. 10: ms per sample. K-VARK is said to be the cheapest; which of the other bars is whose cannot be told."""

CAVEATS = (
    "The paper's Cartesian “average” is the arithmetic mean of three forces and three moments, though it is called a "
    "norm: N and N·m added up say nothing. It is computed here for comparison only; forces and moments stand "
    "beside it.",
    "Its improvement of more than 20 % is against the sparse Gaussian process alone (1.49 N·m; against the network, "
    "1.47 N·m, it is 19.7 %). Against GMR-GP it is 7 % (1.18 for 1.27 N·m), and 2 to 5 % in contact.",
    "Its samples were split at random. Neighbours of a trajectory are all but copies of each other, so such a test "
    "knows its answers. Here whole trajectories are left out.",
    "Taken by the letter, its process-noise rule settles at a gain of 2/3 whatever the data, and its measurement-noise "
    "rule counts the model's variance twice. Both forms are computed here; the corrected one is what the toolkit uses.",
    "External torque as free minus loaded motion, as in its Fig. 7, has an error of its own: friction depends on load, "
    "and no motion is followed twice in the same way. Its size is stated beside the figure; differences below it "
    "mean nothing.",
    "Our robots are simulated, and the features of the semi-parametric model are structurally close to the "
    "Maxwell-slip "
    "and LuGre laws of the simulation. The memoryless family has none of that structure; recordings of real arms "
    "decide.",
    "Hyper-parameters that the paper sets “empirically” and does not print are chosen here by held-out trajectories, "
    "and every filter is tuned by the same virtual contacts.",
)
"""To be read before any comparison."""
