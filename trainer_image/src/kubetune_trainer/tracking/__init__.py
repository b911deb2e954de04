"""TensorBoard, MLflow and Weights & Biases: fed from the metrics beside the training, never from within it.

The backends' own loggers run inside the ranks: a server that is down fails or holds up their training, and none goes on with a
run after a resume. One mechanism serves all algorithms instead.
"""
