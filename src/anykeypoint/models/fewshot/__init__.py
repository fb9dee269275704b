"""The few-shot baselines that papers compare with: ProtoNet, MAML and fine-tuning, brought to keypoints.

Their figures on MP-100 come from the POMNet paper (ECCV 2022), whose code does not hold them: what its text leaves open
was chosen here, and is said where it was. All three work on the map of one backbone, for any number of examples and of
keypoints, and share one interface (`maps.Method`).
"""
