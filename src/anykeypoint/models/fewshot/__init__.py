"""The few-shot baselines that papers compare with: ProtoNet, MAML and fine-tuning, brought to keypoints.

Their figures on MP-100 go back to the POMNet paper (ECCV 2022), whose released code holds neither these methods nor
their settings. What is here follows the methods' own papers; how each was brought to keypoints was chosen here, and is
said where it was, so the printed figures are no measure of it.

All three work on the map of one backbone, for any number of examples and of keypoints, and share one interface
(`maps.Method`).
"""
