"""Convolution geometries: input shape, kernel shape, options of conv_general_dilated."""


def _numbers(spatial):
  s = "HWD"[:spatial]
  return (f"N{s}C", f"{s}IO", f"N{s}C")


def _case(x, k, padding, strides=None, **options):
  spatial = len(x) - 2
  return (x, k, {"window_strides": strides or (1,) * spatial, "padding": padding,
                 "dimension_numbers": _numbers(spatial), **options})


CASES = {
    "1d_same": _case((2, 7, 3), (3, 3, 4), "SAME"),
    "1d_valid_strided": _case((2, 8, 3), (3, 3, 2), "VALID", (2,)),
    "1d_same_strided": _case((1, 8, 2), (3, 2, 2), "SAME", (3,)),
    "1d_dilated": _case((1, 9, 2), (3, 2, 2), "SAME", rhs_dilation=(2,)),
    "1d_input_dilated": _case((1, 5, 2), (3, 2, 2), ((2, 1),), lhs_dilation=(2,)),
    "1d_grouped": _case((1, 6, 4), (3, 2, 6), "SAME", feature_group_count=2),
    "1d_batch_groups": _case((4, 6, 3), (3, 3, 2), "SAME", batch_group_count=2),
    "1d_negative_padding": _case((1, 8, 2), (3, 2, 2), ((-1, 2),)),
    "2d_same": _case((2, 5, 6, 3), (3, 3, 3, 4), "SAME"),
    "2d_same_lower": _case((1, 5, 6, 2), (2, 4, 2, 3), "SAME_LOWER"),
    "2d_valid": _case((2, 5, 6, 3), (3, 2, 3, 2), "VALID"),
    "2d_strided": _case((1, 7, 8, 2), (3, 3, 2, 3), "SAME", (2, 3)),
    "2d_strided_leftover": _case((1, 8, 8, 2), (3, 3, 2, 3), "VALID", (2, 4)),
    "2d_dilated": _case((1, 8, 9, 2), (3, 2, 2, 3), "VALID", rhs_dilation=(2, 3)),
    "2d_input_dilated": _case((1, 3, 4, 2), (3, 3, 2, 3), ((2, 2), (1, 2)), lhs_dilation=(2, 3)),
    "2d_both_dilated": _case((1, 4, 4, 2), (2, 2, 2, 3), ((1, 1), (1, 1)), (2, 1),
                             lhs_dilation=(2, 2), rhs_dilation=(2, 1)),
    "2d_grouped": _case((2, 4, 4, 6), (3, 3, 2, 9), "SAME", feature_group_count=3),
    "2d_depthwise": _case((1, 5, 5, 4), (3, 3, 1, 8), "SAME", (2, 2), feature_group_count=4),
    "2d_batch_groups": _case((4, 4, 4, 2), (3, 3, 2, 4), "SAME", batch_group_count=4),
    "2d_negative_padding": _case((1, 7, 7, 2), (3, 3, 2, 2), ((-1, 0), (2, -2))),
    "2d_pointwise": _case((2, 4, 4, 3), (1, 1, 3, 5), "VALID"),
    "2d_pointwise_strided": _case((1, 5, 5, 3), (1, 1, 3, 2), "VALID", (2, 2)),
    "2d_large_kernel": _case((1, 4, 4, 1), (7, 7, 1, 2), ((3, 3), (3, 3))),
    "2d_nchw": ((1, 3, 5, 4), (2, 3, 3, 3),
                {"window_strides": (1, 2), "padding": "SAME",
                 "dimension_numbers": ("NCHW", "OIHW", "NCHW")}),
    "3d_same": _case((1, 3, 4, 5, 2), (2, 3, 2, 2, 3), "SAME"),
    "3d_strided": _case((1, 5, 4, 5, 2), (3, 2, 3, 2, 2), "VALID", (2, 1, 2)),
    "3d_dilated_grouped": _case((1, 5, 5, 4, 4), (2, 2, 2, 2, 4), "SAME",
                                rhs_dilation=(2, 1, 2), feature_group_count=2),
    "3d_input_dilated": _case((1, 3, 3, 3, 1), (2, 2, 2, 1, 2), ((1, 1), (1, 0), (0, 1)),
                              lhs_dilation=(2, 2, 2)),
}
