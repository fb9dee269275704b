"""The few-shot baselines that papers compare with: ProtoNet, MAML and fine-tuning, applied to keypoints.

Their results on MP-100 go back to the POMNet paper (ECCV 2022), whose released code has neither these methods nor their
settings. The code here follows the methods' own papers. Each file says what was chosen here to apply the method to
keypoints, so the printed results are no measure of it.

All three work on the feature map of one image encoder, for any number of examples and of keypoints, and have one base
class (`method.FewShotMethod`).
"""
